// Watches what a rank's links carry, and agrees with all ranks on a plan for what they do carry.
//
// Nothing is waited for and nothing is sent while all links keep to their plan: a look at a few
// counters twice a second. docs/architecture.md has the protocol.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "src/bootstrap/control_plane.h"
#include "src/comm/plan_gate.h"
#include "src/comm/replan_leader.h"
#include "transports/remote.h"

namespace tutti::comm {

struct ReplanOptions {
  topology::Topology topology;               // what ranks plan for, the same on all
  std::vector<transports::Remote*> remotes;  // by rank; null: itself, or not remote
  int64_t permille = 700;  // below this part of its capacity a link is slow; 0: none ever is
  std::chrono::milliseconds drill{0};  // so often pretend that a link is slow, or is not; 0: never
};

class Replanner final : public bootstrap::NoteListener {
 public:
  // Begins to listen. The control plane and the remotes outlive this, or its stop.
  Replanner(bootstrap::ControlPlane& control, ReplanOptions options);
  ~Replanner() override;
  Replanner(const Replanner&) = delete;
  Replanner& operator=(const Replanner&) = delete;

  PlanGate& gate() { return gate_; }
  // Once all ranks have made theirs, so that no note is lost.
  void start();
  // Takes no part any more: before this rank leaves, and before its remotes go.
  void stop();

  void onNote(int from, std::string_view text) override;
  void onTick() override;

 private:
  struct Seen {  // of one peer
    transports::Arrivals atTick;
    transports::Arrivals atWatch;
    int64_t expected = 0;  // what its way carries, kB/s
    int64_t planned = 0;   // what it carried first
    int64_t reported = 0;  // in the last look, kB/s; 0: not much
    int64_t accepted = 0;  // what rank 0 said is as planned; 0: nothing
  };

  void expect();
  bool isAsExpected(const Seen& seen, const transports::Arrivals& now, int64_t ns) const;
  void look(int64_t nowNs);
  void report(int64_t nowNs);
  void follow(const ReplanNote& note);
  bool isSound(const ReplanNote& note) const;
  void send(ReplanNote note);
  void lead();
  void drill(int64_t nowNs);

  bootstrap::ControlPlane& control_;
  const ReplanOptions options_;
  PlanGate gate_;
  std::unique_ptr<ReplanLeader> leader_;  // on rank 0
  // The control plane's thread's.
  topology::Topology topology_;
  std::vector<Seen> seen_;
  uint64_t watchRound_ = 0;  // 0: none
  int64_t watchNs_ = 0;      // its beginning
  uint64_t reportedRound_ = 0;
  int64_t acceptedUntilNs_ = 0;
  int64_t lookedNs_ = 0;
  int64_t drilledNs_ = 0;
  uint64_t drills_ = 0;
  bool hasStopped_ = false;
};

}  // namespace tutti::comm
