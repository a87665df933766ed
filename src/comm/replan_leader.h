// Rank 0's part in replanning, as a state machine without clock, threads or network: when ranks are
// to look at their links, what is made of what they saw, and from which collective on it holds.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "src/comm/replan_notes.h"
#include "topology/observed.h"

namespace tutti::comm {

class ReplanLeader {
 public:
  // How long ranks look. Twice in a row a link must have been slow.
  static constexpr int64_t kWatchNs = 1'000'000'000;
  // Who has not answered by then is not waited for: nothing changes.
  static constexpr int64_t kPatienceNs = 4'000'000'000;

  // Below `permille` of its capacity a link is slow.
  ReplanLeader(int size, topology::Topology topology, int64_t permille);

  void onNote(int from, const ReplanNote& note, int64_t nowNs);
  void onTick(int64_t nowNs);  // a few times a second
  // Puts these capacities into force, if nothing is under way and all ranks listen.
  void propose(std::vector<topology::LinkChange> changes, std::string reason, int64_t nowNs);
  // Gives up what is under way, for good.
  void stop();

  // Notes for all ranks, this one included, in order.
  std::vector<ReplanNote> take() { return std::exchange(notes_, {}); }

  // As decided last.
  const topology::Topology& topology() const { return now_; }

 private:
  enum class State { kIdle, kWatching, kAsking };

  void say(ReplanNote::Kind kind);
  bool isReady() const { return !hasStopped_ && state_ == State::kIdle && heard_.size() == size_; }
  void watch(int64_t nowNs);
  void judge(int64_t nowNs);
  void decide(int64_t nowNs);
  void rest(int64_t nowNs);
  void giveUp();
  void tryAgain(int64_t nowNs);
  std::string describe(const std::vector<topology::LinkChange>& changes) const;

  const size_t size_;
  const topology::Topology planned_;
  topology::Topology now_;
  const int64_t permille_;
  State state_ = State::kIdle;
  bool hasStopped_ = false;
  std::set<int> heard_;  // ranks that listen
  std::vector<ReplanNote> notes_;

  // Of what is under way.
  uint64_t round_ = 0;
  int64_t sinceNs_ = 0;
  std::set<int> answered_;
  std::vector<topology::ObservedFlow> flows_;
  uint64_t latest_ = 0;
  bool isPending_ = false;
  std::vector<topology::LinkChange> changes_;
  std::string reason_;

  std::set<topology::LinkIndex> suspects_;  // of the last look
  int64_t quietUntilNs_ = 0;
  int64_t restNs_ = 0;     // after looking in vain
  int64_t pauseNs_ = 0;    // after a decision
  int64_t decidedNs_ = 0;  // the last time
  int64_t triedNs_ = 0;    // when the links were last taken for what they were first
  int64_t retryNs_;        // how long slow links are taken for slow
};

}  // namespace tutti::comm
