// Ranks that share no memory: messages are sent, and what a peer says of itself arrives as copies.
#pragma once

#include <cstddef>
#include <cstdint>

#include "src/base/status.h"
#include "transports/meter.h"

namespace tutti::transports {

// A message that has arrived.
struct Arrival {
  uint64_t tag = 0;
  std::byte* data = nullptr;  // at any address; may be written to
  uint32_t bytes = 0;
};

// The way to one peer that is reached by messages: a FIFO for each channel and direction. Used by
// one thread at a time, as Connection. Nothing here blocks, and nothing fails at once: a peer that
// is lost is known by failure().
class Remote {
 public:
  virtual ~Remote() = default;

  // Room for the next message on `channel`; null while the peer is too far behind. The same room
  // until send, or until more bytes are asked for.
  virtual std::byte* reserve(int channel, uint64_t bytes) = 0;
  // Sends what was written there: as many bytes as were reserved, or fewer.
  virtual void send(int channel, uint64_t bytes, uint64_t tag) = 0;

  // The next message on `channel`, null where it has not arrived. Stays until pop.
  virtual const Arrival* front(int channel) = 0;
  virtual void pop(int channel) = 0;

  // Says hello, so that the ways there and back are known to work before they are needed. Has the
  // peer said anything yet?
  virtual void greet() = 0;
  virtual bool isHeardOf() const = 0;

  // Tells the peer what this rank's segment header says of it, if that changed and unless it was
  // told moments ago; `isUrgent`: in any case. What the peer says is in Connection::segment().
  virtual void publish(bool isUrgent) = 0;

  // Why the peer can not be reached any more, or ok.
  virtual base::Status failure() const = 0;

  // Measures how fast messages come from now on; null: no more. `presence` is of the thread that
  // uses this.
  virtual void follow(const Presence* presence) = 0;
  // What it measured. Any thread.
  virtual Arrivals arrivals() const = 0;
};

// What moves the messages of all connections of one Context. One thread at a time, the same as its
// connections'.
class Driver {
 public:
  virtual ~Driver() = default;
  // Moves what can be moved. True if anything arrived.
  virtual bool progress() = 0;
  // True once nothing more is to be done here for what was sent to arrive.
  virtual bool settle() = 0;
  // A descriptor that can be polled for reading once arm() has said true, until progress(): then
  // something may have arrived.
  virtual int eventDescriptor() const = 0;
  virtual bool arm() = 0;
};

}  // namespace tutti::transports
