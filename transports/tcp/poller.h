// epoll over the sockets of one communicator.
#pragma once

#include <cstdint>

#include "src/base/fd.h"
#include "src/base/status.h"

namespace tutti::transports::tcp {

class EventHandler {
 public:
  virtual ~EventHandler() = default;
  virtual void onReady(uint32_t events) = 0;  // EPOLLIN, ...
};

// A handler outlives its registration; it may go while events are being told, but only its own.
class Poller {
 public:
  base::Status open();
  int descriptor() const { return epoll_.get(); }

  // Readable, and with `isWriting` writable, too. False: errno says why not.
  bool add(int fd, EventHandler* handler, bool isWriting);
  void change(int fd, EventHandler* handler, bool isWriting);
  void remove(int fd);

  // Tells who is ready now. Does not block.
  void dispatch();
  // Is anybody ready?
  bool isReady() const;

 private:
  base::UniqueFd epoll_;
};

}  // namespace tutti::transports::tcp
