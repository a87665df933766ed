// Rates against progressive filling in the simplest form, while flows come and go.
#include "src/sim/fair_share.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <vector>

namespace tutti::sim {
namespace {

constexpr double kUnit = 1 << kRateBits;

struct Question {
  std::vector<int64_t> capacities;
  std::vector<std::vector<Use>> paths;
  std::vector<int64_t> caps;
  std::vector<int> counts;  // flows on each path
};

// All rates grow together; those at their cap or in a full constraint stop.
std::vector<double> fill(const Question& question) {
  std::vector<double> rates(question.paths.size(), 0);
  std::vector<double> left(question.capacities.begin(), question.capacities.end());
  std::vector<bool> isFixed(question.paths.size());
  for (size_t path = 0; path < isFixed.size(); ++path) isFixed[path] = question.counts[path] == 0;
  while (std::find(isFixed.begin(), isFixed.end(), false) != isFixed.end()) {
    std::vector<double> weights(left.size(), 0);
    double more = INFINITY;
    for (size_t path = 0; path < isFixed.size(); ++path) {
      if (isFixed[path]) continue;
      for (const Use& use : question.paths[path]) {
        weights[static_cast<size_t>(use.constraint)] += question.counts[path] * use.units;
      }
      if (question.caps[path] > 0) {
        more = std::min(more, static_cast<double>(question.caps[path]) - rates[path]);
      }
    }
    for (size_t at = 0; at < left.size(); ++at) {
      if (weights[at] > 0) more = std::min(more, left[at] / weights[at]);
    }
    for (size_t at = 0; at < left.size(); ++at) left[at] -= more * weights[at];
    for (size_t path = 0; path < isFixed.size(); ++path) {
      if (isFixed[path]) continue;
      rates[path] += more;
      const auto cap = static_cast<double>(question.caps[path]);
      bool isFull = cap > 0 && rates[path] >= cap * (1 - 1e-12);
      for (const Use& use : question.paths[path]) {
        const auto at = static_cast<size_t>(use.constraint);
        isFull |= left[at] <= 1e-9 * static_cast<double>(question.capacities[at]);
      }
      isFixed[path] = isFull;
    }
  }
  return rates;
}

Question randomQuestion(std::mt19937_64& random) {
  Question question;
  const size_t constraints = 1 + random() % 12;
  for (size_t at = 0; at < constraints; ++at) {
    question.capacities.push_back(static_cast<int64_t>(1000 + random() % 1'000'000));
  }
  const size_t paths = 1 + random() % 30;
  for (size_t path = 0; path < paths; ++path) {
    std::vector<Use> uses;
    for (size_t at = 0; at < constraints; ++at) {
      if (random() % 3 != 0) continue;
      uses.push_back({static_cast<int>(at), 1 + static_cast<int>(random() % 4 == 0)});
    }
    if (uses.empty()) uses.push_back({static_cast<int>(random() % constraints), 1});
    question.paths.push_back(uses);
    question.caps.push_back(random() % 4 == 0 ? static_cast<int64_t>(500 + random() % 50'000) : 0);
    question.counts.push_back(0);
  }
  return question;
}

double loadOf(const Question& question, const FairShare& shares, size_t constraint) {
  double load = 0;
  for (size_t path = 0; path < question.paths.size(); ++path) {
    for (const Use& use : question.paths[path]) {
      if (use.constraint != static_cast<int>(constraint)) continue;
      load += question.counts[path] * use.units *
              static_cast<double>(shares.rate(static_cast<int>(path))) / kUnit;
    }
  }
  return load;
}

class FairShareRun {
 public:
  FairShareRun(Question question, int bits) : question_(std::move(question)), shares_(bits) {
    for (const int64_t capacity : question_.capacities) shares_.addConstraint(capacity);
    for (size_t path = 0; path < question_.paths.size(); ++path) {
      shares_.addPath(question_.paths[path], question_.caps[path]);
    }
  }

  void change(std::mt19937_64& random) {
    const size_t changes = 1 + random() % 4;
    for (size_t at = 0; at < changes; ++at) {
      const size_t path = random() % question_.paths.size();
      int change = static_cast<int>(random() % 4) - 1;
      change = std::max(change, -question_.counts[path]);
      question_.counts[path] += change;
      shares_.change(static_cast<int>(path), change);
    }
    shares_.settle();
  }

  const Question& question() const { return question_; }
  const FairShare& shares() const { return shares_; }

 private:
  Question question_;
  FairShare shares_;
};

TEST(FairShare, followsProgressiveFilling) {
  std::mt19937_64 random(7);
  for (int round = 0; round < 200; ++round) {
    FairShareRun run(randomQuestion(random), 40);
    for (int step = 0; step < 30; ++step) {
      run.change(random);
      const auto expected = fill(run.question());
      for (size_t path = 0; path < expected.size(); ++path) {
        const double found = static_cast<double>(run.shares().rate(static_cast<int>(path))) / kUnit;
        ASSERT_NEAR(found, expected[path], 1e-3 + 1e-6 * expected[path])
            << "round " << round << " step " << step << " path " << path;
      }
    }
  }
}

// With few bits of tolerance rates are behind, but no constraint ever gives more than it has, and
// every flow is held back by something that is used up.
TEST(FairShare, toleratesOnlyTooLittle) {
  std::mt19937_64 random(11);
  const int bits = 6;
  for (int round = 0; round < 100; ++round) {
    FairShareRun run(randomQuestion(random), bits);
    const Question& question = run.question();
    for (int step = 0; step < 30; ++step) {
      run.change(random);
      std::vector<double> loads;
      for (size_t at = 0; at < question.capacities.size(); ++at) {
        loads.push_back(loadOf(question, run.shares(), at));
        ASSERT_LE(loads[at], static_cast<double>(question.capacities[at]) * (1 + 1e-9));
      }
      for (size_t path = 0; path < question.paths.size(); ++path) {
        if (question.counts[path] == 0) continue;
        const double rate = static_cast<double>(run.shares().rate(static_cast<int>(path))) / kUnit;
        bool isHeld =
            question.caps[path] > 0 && rate >= static_cast<double>(question.caps[path]) - 1;
        for (const Use& use : question.paths[path]) {
          const auto at = static_cast<size_t>(use.constraint);
          isHeld |= loads[at] >=
                    static_cast<double>(question.capacities[at]) * (1 - 1.0 / (1 << bits)) - 1;
        }
        ASSERT_TRUE(isHeld) << "round " << round << " step " << step << " path " << path;
      }
    }
  }
}

// Bertsekas and Gallager's example: 1 crosses all, the others one link each.
TEST(FairShare, textbook) {
  FairShare shares(40);
  const auto narrow = shares.addConstraint(10);
  const auto middle = shares.addConstraint(100);
  const auto wide = shares.addConstraint(1000);
  const std::vector<Use> all = {{narrow, 1}, {middle, 1}, {wide, 1}};
  const auto long1 = shares.addPath(all, 0);
  const auto short1 = shares.addPath(std::vector<Use>{{narrow, 1}}, 0);
  const auto short2 = shares.addPath(std::vector<Use>{{middle, 1}}, 0);
  const auto short3 = shares.addPath(std::vector<Use>{{wide, 1}}, 300);
  for (const auto path : {long1, short1, short2, short3}) shares.change(path, 1);
  EXPECT_EQ(shares.settle().size(), 4u);
  EXPECT_NEAR(static_cast<double>(shares.rate(long1)) / kUnit, 5, 1e-3);
  EXPECT_NEAR(static_cast<double>(shares.rate(short1)) / kUnit, 5, 1e-3);
  EXPECT_NEAR(static_cast<double>(shares.rate(short2)) / kUnit, 95, 1e-3);
  EXPECT_EQ(shares.rate(short3), Rate{300} << kRateBits);
  shares.change(short1, -1);
  shares.settle();
  EXPECT_EQ(shares.rate(short1), 0);
  EXPECT_NEAR(static_cast<double>(shares.rate(long1)) / kUnit, 10, 1e-3);
  EXPECT_NEAR(static_cast<double>(shares.rate(short2)) / kUnit, 90, 1e-3);
}

// One that goes where another comes costs nothing.
TEST(FairShare, replacementChangesNothing) {
  FairShare shares(20);
  const auto link = shares.addConstraint(1000);
  const auto a = shares.addPath(std::vector<Use>{{link, 1}}, 0);
  const auto b = shares.addPath(std::vector<Use>{{link, 1}}, 0);
  shares.change(a, 2);
  shares.change(b, 1);
  EXPECT_EQ(shares.settle().size(), 2u);
  const uint64_t before = shares.relaxations();
  shares.change(a, -1);
  shares.change(a, 1);
  EXPECT_TRUE(shares.settle().empty());
  EXPECT_EQ(shares.relaxations(), before);
}

// Capacities at both ends of the scale.
TEST(FairShare, extremes) {
  FairShare shares(12);
  const auto huge = shares.addConstraint(10'000'000'000'000);
  const auto tiny = shares.addConstraint(1);
  const auto fast = shares.addPath(std::vector<Use>{{huge, 1}}, 0);
  const auto slow = shares.addPath(std::vector<Use>{{tiny, 2}, {huge, 1}}, 0);
  shares.change(fast, 10'000);
  shares.change(slow, 100'000);
  shares.settle();
  EXPECT_GT(shares.rate(slow), 0);
  EXPECT_NEAR(static_cast<double>(shares.rate(fast)) / kUnit, 1e9, 1e9 / 4096);
}

}  // namespace
}  // namespace tutti::sim
