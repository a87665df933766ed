// One rank's part of a control plane: joins through the rendezvous, holds the rank's links in the
// tree, gathers values over it, and spreads the news of failures.
//
// The ranks of a communicator form a tree: the parent of rank r is (r - 1) / fanOut. Values travel
// up to rank 0 and come down together. Each rank watches its neighbours (end of connection,
// heartbeats) and whoever learns of a failure passes it on to all its other neighbours, so that
// after any set of deaths every survivor hears of at least one from the edge of its part of the
// tree.
#pragma once

#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <vector>

#include "src/bootstrap/acceptor.h"
#include "src/bootstrap/control_plane.h"
#include "src/bootstrap/dialer.h"
#include "src/bootstrap/messages.h"
#include "src/bootstrap/unique_id.h"

namespace tutti::bootstrap {

inline constexpr int kFanOut = 32;
inline constexpr size_t kMaxValueBytes = 16u << 20;

class Plane : public Channel::Listener, public std::enable_shared_from_this<Plane> {
 public:
  Plane(Reactor& reactor, const JoinOptions& options, std::vector<IdContent> ids, int fanOut);

  // ---- For the rank's threads ----

  // Blocks until all ranks have joined, or returns why not.
  base::Status join(const std::atomic<bool>* isAborted);
  base::Result<std::vector<std::string>> allGather(std::string_view mine);
  std::array<std::byte, 32> deriveToken(std::string_view label) const;
  bool hasFailed() const { return hasFailed_.load(std::memory_order_relaxed); }
  std::optional<PeerFailure> failure() const;
  void announceAbort(std::string_view reason);
  void announceLeave();
  void listen(NoteListener* listener, std::chrono::milliseconds tick);
  void note(std::string_view text);
  // The last call. In a child after fork nothing may be touched; see ControlPlaneHandle.
  void release();

  int rank() const { return rank_; }
  int size() const { return size_; }
  Reactor& reactor() { return reactor_; }

  // ---- For the reactor ----

  void onFrame(Channel& channel, uint8_t type, std::string_view payload) override;
  void onClosed(Channel& channel, const base::Status& reason) override;

 private:
  // Why a rank counts as failed; travels in kFrameFailure.
  enum class FailureKind : uint8_t { kDied = 0, kSilent = 1, kAborted = 2 };

  struct Server {  // a rendezvous this rank registers with
    int index;
    std::shared_ptr<Dialer> dialer;
    std::shared_ptr<Channel> channel;
  };
  struct Link {  // a neighbour in the tree
    PeerIdentity peer;
    std::shared_ptr<Channel> channel;
    bool isParent = false;
  };
  struct Gather {
    std::vector<std::optional<std::string>> values;
    size_t count = 0;
  };

  // Joining (plane_join.cc).
  void start();
  base::Status serveRendezvous();
  base::Status openDoor();
  std::set<int> serversNeeded() const;
  void dialServer(int index);
  void registerWith(Server& server);
  void onServerFrame(Server& server, uint8_t type, std::string_view payload);
  void onInvited(const Invitation& invitation);
  void attachTo(const Invitation& invitation, std::shared_ptr<Channel> channel);
  void onAttach(Channel& channel, std::string_view payload);
  void tellFailures(Channel& channel) const;
  void contributeTableEntry();
  void onTable(const std::vector<std::string>& table);
  void askWhoIsMissing();
  void giveUp(const base::Status& reason);
  // The failure, or what is behind it in this process: too few file descriptors.
  base::Status withCause(const base::Status& status) const;
  base::Status joinTimeout();
  bool hasChildren() const;

  // The tree (plane_tree.cc).
  void contribute(uint32_t number, std::string value);
  void sendUp(uint8_t type, std::string payload);
  void onValues(const Link& from, std::string_view payload);
  void storeValue(uint32_t number, int rank, std::string_view value);
  void shareResult(uint32_t number);
  void completeGather(uint32_t number);
  void ask(uint32_t number);
  void answerAsk(uint32_t number);
  void onMissing(std::string_view payload);
  void onLinkFrame(const Link& link, uint8_t type, std::string_view payload);
  void onFailureFrame(const Channel& from, std::string_view payload);
  void onLeave(const Channel* from, int rank);
  void recordFailure(const Channel* from, int rank, FailureKind kind, const std::string& reason);
  void spread(const Channel* except, uint8_t type, std::string payload, bool isUrgent);
  void sendNote(const std::string& text);
  void onNote(const Link& from, std::string_view payload);
  void scheduleTick();
  void beat();
  void scheduleBeat();
  void endIfUnneeded();
  void closeAll();
  Link* linkOf(const Channel& channel);
  bool isFlushed() const;
  std::string describe(int rank) const;

  // Ends what the rank's thread waits for.
  void breakWith(const base::Status& reason);
  base::Status failureStatus() const;  // with mutex_ held
  void waitForFlush();
  template <typename Ready>
  bool waitUntil(std::unique_lock<std::mutex>& lock, int64_t deadlineNs,
                 const std::atomic<bool>* isAborted, const Ready& isReady);

  Reactor& reactor_;
  const int rank_;
  const int size_;
  const int fanOut_;
  const std::chrono::milliseconds timeout_;
  const int64_t startNs_;
  const std::vector<IdContent> ids_;
  base::Key secret_{};

  // Shared with the rank's threads.
  mutable std::mutex mutex_;
  std::condition_variable changed_;
  std::atomic<bool> hasFailed_{false};
  std::optional<PeerFailure> failure_;
  FailureKind failureKind_ = FailureKind::kDied;
  base::Status broken_;
  bool isJoined_ = false;
  uint32_t nextNumber_ = 1;  // of the next allGather; 0 is the table's
  std::optional<uint32_t> awaited_;
  std::optional<std::vector<std::string>> result_;
  std::optional<std::vector<int>> missing_;
  int unanswered_ = 0;  // rendezvous that were told of giving up and have not hung up yet
  base::Key session_{};

  // The reactor's.
  Door door_;
  uint64_t doorTicket_ = 0;
  std::shared_ptr<ListenSocket> doorSocket_;
  std::vector<std::unique_ptr<Server>> servers_;
  std::shared_ptr<Dialer> parentDialer_;
  std::map<const Channel*, std::shared_ptr<Channel>> newcomers_;
  std::vector<std::unique_ptr<Link>> links_;
  std::map<int, PeerIdentity> identities_;
  std::map<uint32_t, Gather> gathers_;
  uint32_t completed_ = 0;  // gathers below this number are over
  std::set<int> failed_;
  std::set<int> left_;
  int firstLeft_ = -1;  // others that leave may do so because of it
  NoteListener* listener_ = nullptr;
  uint64_t tickTimer_ = 0;
  int64_t tickNs_ = 0;
  uint64_t beatTimer_ = 0;
  int64_t beatNs_ = 0;
  int64_t joinedNs_ = 0;
  std::vector<std::pair<uint8_t, std::string>> waitingForParent_;
  bool isInvited_ = false;
  bool isAttached_ = false;  // to the parent, once
  bool isReleased_ = false;
  bool isClosed_ = false;
};

// join with another shape of the tree; for tests.
base::Result<std::unique_ptr<ControlPlane>> joinWithFanOut(const JoinOptions& options, int fanOut);

}  // namespace tutti::bootstrap
