// How ranks come to another plan at the same collective, whatever order their words arrive in.
#include <gtest/gtest.h>

#include <deque>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "src/comm/plan_gate.h"
#include "src/comm/replan_leader.h"
#include "tests/unit/topology/graphs.h"

namespace tutti::comm {
namespace {

using Kind = ReplanNote::Kind;
constexpr int64_t kMs = 1'000'000;
constexpr int64_t kSecond = 1000 * kMs;

TEST(ReplanNotes, SurviveTheWay) {
  const ReplanNote note{.kind = Kind::kDecide,
                        .round = 7,
                        .number = uint64_t{1} << 60,
                        .isPending = true,
                        .flows = {{1, 2, 300, 400}},
                        .changes = {{5, 60'000}, {6, 1}},
                        .reason = "link \"a\" -> b"};
  EXPECT_EQ(parseReplanNote(toText(note)), note);
  for (const char* text : {"", "{}", "[]", "[1,2,3,4,5,6,7]", "[99,1,1,false,[],[],\"\"]",
                           "[1,1,1,false,[[1]],[],\"\"]", "[1,\"\",1,false,[],[],\"\"]"}) {
    EXPECT_FALSE(parseReplanNote(text)) << text;
  }
}

TEST(PlanGate, PassesUnlessAsked) {
  PlanGate gate;
  Switch due;
  EXPECT_TRUE(gate.pass(1));
  const auto answer = gate.hold(1);
  ASSERT_TRUE(answer);
  EXPECT_EQ(answer->next, 1u);
  EXPECT_FALSE(answer->isPending);
  EXPECT_FALSE(gate.pass(2));
  EXPECT_EQ(gate.enter(2, due), PlanGate::Entry::kWait);
  gate.giveUp(1);
  EXPECT_EQ(gate.enter(2, due), PlanGate::Entry::kPass);
  EXPECT_TRUE(gate.pass(2));
}

TEST(PlanGate, SwitchesAtTheNumberThatWasDecided) {
  PlanGate gate;
  Switch due;
  ASSERT_TRUE(gate.hold(1));
  gate.decide({1, 5, topology::makeStar(2, 10), "why"});
  EXPECT_FALSE(gate.pass(4));
  EXPECT_EQ(gate.enter(4, due), PlanGate::Entry::kPass);
  EXPECT_TRUE(gate.hold(2)->isPending);
  gate.giveUp(2);
  EXPECT_FALSE(gate.pass(6));
  EXPECT_EQ(gate.enter(6, due), PlanGate::Entry::kSwitch);
  EXPECT_EQ(due.reason, "why");
  EXPECT_EQ(gate.enter(6, due), PlanGate::Entry::kPass);
  EXPECT_TRUE(gate.pass(6));
}

// What overtook it has ended the round.
TEST(PlanGate, IsNotHeldByARoundThatIsOver) {
  PlanGate gate;
  gate.giveUp(3);
  EXPECT_FALSE(gate.hold(3));
  EXPECT_FALSE(gate.hold(2));
  EXPECT_TRUE(gate.pass(1));
  EXPECT_TRUE(gate.hold(4));
  gate.giveUp(3);
  EXPECT_FALSE(gate.pass(1)) << "round 4 is still under way";
}

// A thread that starts collectives as fast as it can, and another that asks: no collective that the
// answer does not cover is planned before the decision.
TEST(PlanGate, TwoThreadsNeverMissEachOther) {
  PlanGate gate;
  std::atomic<uint64_t> passed{0};
  std::atomic<bool> isOver{false};
  std::thread starter([&] {
    Switch due;
    for (uint64_t number = 1; !isOver; ++number) {
      if (!gate.pass(number)) {
        while (gate.enter(number, due) == PlanGate::Entry::kWait) {
          gate.await(std::chrono::milliseconds(1));
        }
      }
      passed = number;
    }
  });
  for (uint64_t round = 1; round <= 2000; ++round) {
    const auto answer = gate.hold(round);
    ASSERT_TRUE(answer);
    for (int i = 0; i < 50; ++i) ASSERT_LE(passed, answer->next);
    gate.giveUp(round);
  }
  isOver = true;
  starter.join();
}

// Ranks that plan collectives, and a network that delivers what they say in any order.
class Ranks {
 public:
  Ranks(int size, uint32_t seed)
      : size_(size), random_(seed), leader_(size, topology::makeStar(size, 1000), 700) {
    for (int rank = 0; rank < size; ++rank) ranks_.push_back(std::make_unique<Rank>());
    for (int rank = 0; rank < size; ++rank) leader_.onNote(rank, {.kind = Kind::kHello}, 0);
  }

  ReplanLeader& leader() { return leader_; }
  // One thing happens: a rank comes to its next collective, or a note arrives.
  void step() {
    for (ReplanNote& note : leader_.take()) {
      for (int rank = 0; rank < size_; ++rank) notes_.push_back({0, rank, note});
    }
    const auto choice = below(static_cast<size_t>(size_) + 1 + notes_.size());
    if (choice < static_cast<size_t>(size_)) return call(static_cast<int>(choice));
    if (notes_.empty()) return;
    const size_t at = below(notes_.size());
    const Sent sent = notes_[at];
    notes_.erase(notes_.begin() + static_cast<std::ptrdiff_t>(at));
    if (sent.to == kToLeader) return leader_.onNote(sent.from, sent.note, 0);
    deliver(sent.to, sent.note);
  }
  bool isQuiet() { return notes_.empty(); }
  void lose(int rank) { lost_ = rank; }
  uint64_t next(int rank) const { return ranks_[static_cast<size_t>(rank)]->next; }
  uint64_t generation(int rank) const { return ranks_[static_cast<size_t>(rank)]->generation; }
  bool isWaiting(int rank) {
    Switch due;
    return ranks_[static_cast<size_t>(rank)]->gate.enter(0, due) == PlanGate::Entry::kWait;
  }

 private:
  struct Rank {
    PlanGate gate;
    uint64_t next = 1;
    uint64_t generation = 0;
  };
  struct Sent {
    int from;
    int to;
    ReplanNote note;
  };
  static constexpr int kToLeader = -1;

  size_t below(size_t end) { return std::uniform_int_distribution<size_t>(0, end - 1)(random_); }

  // Ranks keep within some collectives of each other, as messages make them.
  void call(int index) {
    Rank& rank = *ranks_[static_cast<size_t>(index)];
    for (const auto& other : ranks_) {
      if (other->next + 8 < rank.next) return;
    }
    if (!rank.gate.pass(rank.next)) {
      Switch due;
      auto entry = rank.gate.enter(rank.next, due);
      if (entry == PlanGate::Entry::kWait) return;
      if (entry == PlanGate::Entry::kSwitch) rank.generation = due.round;
    }
    const auto [at, isFirst] = planned_.emplace(rank.next, rank.generation);
    ASSERT_EQ(at->second, rank.generation)
        << "rank " << index << " plans collective " << rank.next << " differently";
    ++rank.next;
  }

  void deliver(int to, const ReplanNote& note) {
    PlanGate& gate = ranks_[static_cast<size_t>(to)]->gate;
    if (note.kind == Kind::kHold) {
      const auto answer = gate.hold(note.round);
      if (!answer || to == lost_) return;
      const ReplanNote reply{.kind = Kind::kAnswer,
                             .round = note.round,
                             .number = answer->next,
                             .isPending = answer->isPending};
      notes_.push_back({to, kToLeader, reply});
    } else if (note.kind == Kind::kDecide) {
      gate.decide({note.round, note.number, {}, note.reason});
    } else if (note.kind == Kind::kGiveUp) {
      gate.giveUp(note.round);
    }
  }

  const int size_;
  std::mt19937 random_;
  ReplanLeader leader_;
  std::vector<std::unique_ptr<Rank>> ranks_;
  std::deque<Sent> notes_;
  std::map<uint64_t, uint64_t> planned_;  // by collective
  int lost_ = -1;
};

class ReplanRanks : public testing::TestWithParam<int> {};

TEST_P(ReplanRanks, PlanEachCollectiveAlike) {
  const int size = GetParam();
  for (uint32_t seed = 0; seed < 60; ++seed) {
    Ranks ranks(size, seed);
    std::mt19937 random(seed);
    for (int turn = 0; turn < 20; ++turn) {
      ranks.leader().propose({{0, 10 + turn}}, "why", 0);
      for (int i = 0; i < 40 * size; ++i) ranks.step();
      if (random() % 4 == 0) ranks.leader().onTick(10 * kSecond);  // nobody waits for ever
      if (testing::Test::HasFatalFailure()) return;
    }
    ranks.leader().onTick(20 * kSecond);
    while (!ranks.isQuiet()) ranks.step();
    for (int i = 0; i < 200 * size; ++i) ranks.step();
    EXPECT_GT(ranks.generation(0), 0u);
    for (int rank = 0; rank < size; ++rank) {
      EXPECT_FALSE(ranks.isWaiting(rank));
      EXPECT_GT(ranks.next(rank), 50u);
    }
  }
}

TEST_P(ReplanRanks, GoOnWhereOneDoesNotAnswer) {
  const int size = GetParam();
  Ranks ranks(size, 1);
  ranks.lose(size - 1);
  ranks.leader().propose({{0, 10}}, "why", 0);
  for (int i = 0; i < 100 * size; ++i) ranks.step();
  EXPECT_TRUE(ranks.isWaiting(0));
  ranks.leader().onTick(ReplanLeader::kPatienceNs + 1);
  for (int i = 0; i < 300 * size; ++i) ranks.step();
  for (int rank = 0; rank < size; ++rank) {
    EXPECT_FALSE(ranks.isWaiting(rank));
    EXPECT_EQ(ranks.generation(rank), 0u);
  }
}

INSTANTIATE_TEST_SUITE_P(Sizes, ReplanRanks, testing::Range(1, 10),
                         [](const auto& tested) { return std::to_string(tested.param); });

// ---- When rank 0 looks, and what it makes of it ----

class Leader : public testing::Test {
 protected:
  static constexpr int kSize = 3;
  Leader() {
    for (int rank = 0; rank < kSize; ++rank) say(rank, {.kind = Kind::kHello});
  }
  void say(int rank, const ReplanNote& note) { leader_.onNote(rank, note, now_); }
  // The kinds of what it says, the last note in last_.
  std::vector<Kind> said() {
    std::vector<Kind> kinds;
    for (const ReplanNote& note : leader_.take()) {
      kinds.push_back(note.kind);
      last_ = note;
    }
    return kinds;
  }
  // All ranks report; rank 2's cable carries `rate` kB/s.
  void report(int64_t rate) {
    now_ += kSecond;
    const auto bytes = static_cast<uint64_t>(rate) * 1000;
    for (int rank = 0; rank < kSize; ++rank) {
      ReplanNote note{.kind = Kind::kReport, .round = last_.round};
      if (rank == 0) note.flows = {{2, 0, bytes, kSecond}};
      if (rank == 2) note.flows = {{1, 2, bytes, kSecond}};
      say(rank, note);
    }
  }
  void answer(uint64_t number) {
    for (int rank = 0; rank < kSize; ++rank) {
      say(rank, {.kind = Kind::kAnswer,
                 .round = last_.round,
                 .number = number + static_cast<uint64_t>(rank)});
    }
  }
  void replanFor(int64_t rate) {
    say(1, {.kind = Kind::kSlow});
    ASSERT_EQ(said(), std::vector{Kind::kWatch});
    report(rate);
    ASSERT_EQ(said(), std::vector{Kind::kWatch});
    report(rate);
    ASSERT_EQ(said(), std::vector{Kind::kHold});
    answer(10);
    ASSERT_EQ(said(), std::vector{Kind::kDecide});
  }

  int64_t now_ = 100 * kSecond;
  ReplanLeader leader_{kSize, topology::makeStar(kSize, 100'000), 700};
  ReplanNote last_;
};

TEST_F(Leader, DecidesOnceALinkWasSlowTwice) {
  replanFor(25'000);
  EXPECT_EQ(last_.number, 13u) << "after the last that any rank may be planning";
  EXPECT_EQ(last_.changes, (std::vector<topology::LinkChange>{{4, 25'000}, {5, 25'000}}));
  EXPECT_NE(last_.reason.find("g2 -> s at 0.025 of 0.1 GB/s"), std::string::npos) << last_.reason;
  EXPECT_EQ(leader_.topology().links[4].capacity, 25'000);
}

TEST_F(Leader, LooksInVainLessAndLessOften) {
  say(1, {.kind = Kind::kSlow});
  EXPECT_EQ(said(), std::vector{Kind::kWatch});
  report(90'000);
  EXPECT_EQ(said(), std::vector{Kind::kAsPlanned});
  say(1, {.kind = Kind::kSlow});
  EXPECT_TRUE(said().empty()) << "it has just looked";
  now_ += kSecond;
  say(1, {.kind = Kind::kSlow});
  EXPECT_EQ(said(), std::vector{Kind::kWatch});
  report(90'000);
  EXPECT_EQ(said(), std::vector{Kind::kAsPlanned});
  now_ += kSecond;
  say(1, {.kind = Kind::kSlow});
  EXPECT_TRUE(said().empty());
}

TEST_F(Leader, OneSlowLookIsNotEnough) {
  say(1, {.kind = Kind::kSlow});
  EXPECT_EQ(said(), std::vector{Kind::kWatch});
  report(25'000);
  EXPECT_EQ(said(), std::vector{Kind::kWatch});
  report(90'000);
  EXPECT_EQ(said(), std::vector{Kind::kAsPlanned});
}

TEST_F(Leader, PausesLongerAfterEachDecisionThatDidNotHelp) {
  int64_t pause = 0;
  int64_t rate = 60'000;
  for (int i = 0; i < 4; ++i, rate /= 2) {
    replanFor(rate);
    const int64_t before = pause;
    for (pause = 0; said().empty(); pause += kSecond) {
      ASSERT_LT(pause, 200 * kSecond);
      now_ += kSecond;
      say(1, {.kind = Kind::kSlow});
    }
    report(rate);
    EXPECT_EQ(said(), std::vector{Kind::kAsPlanned}) << "as it is believed to be";
    now_ += 6 * kSecond;
    EXPECT_GE(pause, 2 * before - 2 * kSecond) << i;
  }
}

TEST_F(Leader, TriesSlowLinksAgain) {
  replanFor(25'000);
  now_ += 59 * kSecond;
  leader_.onTick(now_);
  EXPECT_TRUE(said().empty());
  now_ += 2 * kSecond;
  leader_.onTick(now_);
  EXPECT_EQ(said(), std::vector{Kind::kHold});
  answer(20);
  EXPECT_EQ(said(), std::vector{Kind::kDecide});
  EXPECT_EQ(leader_.topology().links[4].capacity, 100'000);
  now_ += 600 * kSecond;
  leader_.onTick(now_);
  EXPECT_TRUE(said().empty()) << "all links are what they were";
}

TEST_F(Leader, RecoveredLinksAreSeen) {
  replanFor(25'000);
  now_ += 10 * kSecond;
  replanFor(90'000);
  EXPECT_EQ(leader_.topology().links[4].capacity, 100'000);
}

TEST_F(Leader, DoesNothingOnceARankHasLeft) {
  leader_.propose({{0, 1}}, "why", now_);
  EXPECT_EQ(said(), std::vector{Kind::kHold});
  say(2, {.kind = Kind::kBye});
  EXPECT_EQ(said(), std::vector{Kind::kGiveUp});
  say(1, {.kind = Kind::kSlow});
  leader_.propose({{0, 1}}, "why", now_);
  leader_.onTick(now_ + 100 * kSecond);
  EXPECT_TRUE(said().empty());
}

TEST_F(Leader, WaitsUntilAllListen) {
  ReplanLeader leader(2, topology::makeStar(2, 1000), 700);
  leader.onNote(0, {.kind = Kind::kHello}, 0);
  leader.propose({{0, 1}}, "why", 0);
  EXPECT_TRUE(leader.take().empty());
  leader.onNote(1, {.kind = Kind::kHello}, 0);
  leader.propose({{0, 1}}, "why", 0);
  EXPECT_EQ(leader.take().size(), 1u);
}

}  // namespace
}  // namespace tutti::comm
