// The server of one unique id: collects the registrations of its share of the ranks, checks that
// they agree, and tells each rank its parent in the tree. On the reactor's thread.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <set>

#include "src/bootstrap/acceptor.h"
#include "src/bootstrap/messages.h"

namespace tutti::bootstrap {

// Ranks [first, last) that register with server `index` of `count`.
struct RankShare {
  int first;
  int last;
  bool contains(int rank) const { return rank >= first && rank < last; }
};
RankShare shareOf(int index, int count, int size);

// Parent of a rank in the tree, -1 for the root (rank 0).
inline int parentOf(int rank, int fanOut) { return rank == 0 ? -1 : (rank - 1) / fanOut; }

class Rendezvous : public Channel::Listener, public std::enable_shared_from_this<Rendezvous> {
 public:
  using OnEnd = std::function<void()>;

  // Serves `secret` on `socket`. It lives until all ranks have joined, or for a minute after a
  // failure, so that late ranks learn of it. `onEnd` is called when no further rank can register.
  static void serve(Reactor& reactor, std::shared_ptr<ListenSocket> socket, const base::Key& secret,
                    OnEnd onEnd);

  void onFrame(Channel& channel, uint8_t type, std::string_view payload) override;
  void onClosed(Channel& channel, const base::Status& reason) override;

 private:
  struct Member {
    Registration registration;
    std::shared_ptr<Channel> channel;
    bool isDone = false;  // joined, or told of the failure
  };

  Rendezvous(Reactor& reactor, std::shared_ptr<ListenSocket> socket, const base::Key& secret,
             OnEnd onEnd);
  void onRegister(Channel& channel, const Registration& registration);
  base::Status check(const Registration& registration) const;
  void setWanted(const Registration& registration);
  void complete();
  void fail(const base::Status& reason);
  void answerAsk(Channel& channel) const;
  Member* memberOf(const Channel& channel);
  void closeRegistration();
  void endIfDone();
  void end();

  Reactor& reactor_;
  std::shared_ptr<ListenSocket> socket_;
  base::KeyId name_;
  uint64_t ticket_ = 0;
  OnEnd onEnd_;
  std::map<const Channel*, std::shared_ptr<Channel>> channels_;
  std::map<int, Member> members_;
  std::set<int> wanted_;  // ranks that must register here
  RankShare share_{0, 0};
  bool isComplete_ = false;
  base::Status failure_;
};

}  // namespace tutti::bootstrap
