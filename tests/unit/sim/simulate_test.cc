// Closed forms of collectives, what Options do, and what can go wrong.
#include "src/sim/simulate.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>

#include "src/ir/plan.h"
#include "src/schedule/lower.h"
#include "tests/unit/sim/tree_schedules.h"

namespace tutti::sim {
namespace {

using ir::Collective;
using ir::Space;
using ir::StepKind;
using topology::kGigabyte;

Options freeMessages() {
  Options options;
  options.messageNs = {};
  options.toleranceBits = 20;
  return options;
}

ir::Call callOf(Collective collective, uint64_t bytes, ir::Rank root = 0) {
  return {.collective = collective, .count = bytes / 4, .root = root};
}

std::vector<ir::Schedule> lowerAll(const ir::Call& call, int size, std::string_view algorithm,
                                   uint64_t chunkBytes = 0, bool usesBoard = false) {
  ir::Plan plan;
  plan.collective = call.collective;
  plan.root = call.root;
  plan.algorithm = algorithm;
  plan.chunkBytes = chunkBytes;
  plan.usesBoard = usesBoard;
  std::vector<ir::Schedule> schedules;
  for (int rank = 0; rank < size; ++rank) {
    auto schedule = schedule::lower(plan, size, rank);
    EXPECT_TRUE(schedule.isOk()) << schedule.status().toString();
    schedules.push_back(schedule.take());
  }
  return schedules;
}

Outcome run(const topology::Topology& topology, const std::vector<ir::Schedule>& schedules,
            const ir::Call& call, const Options& options) {
  auto outcome = simulate(topology, schedules, call, options);
  EXPECT_TRUE(outcome.isOk()) << outcome.status().toString();
  return outcome.isOk() ? outcome.take() : Outcome{};
}

std::string errorOf(const topology::Topology& topology, const std::vector<ir::Schedule>& schedules,
                    const ir::Call& call, const Options& options = {}) {
  return simulate(topology, schedules, call, options).status().toString();
}

void expectNear(int64_t found, double expected) {
  EXPECT_NEAR(static_cast<double>(found), expected, expected * 1e-5 + 1);
}

// 2 (n - 1) steps, each a block over two links of 10 GB/s and 1 us, and 700 ns for the message.
TEST(Simulate, ring) {
  for (const int size : {2, 3, 8}) {
    const auto star = makeStar(size, 10 * kGigabyte, 1000);
    const ir::Call call = callOf(Collective::kAllReduce, 128'000u * static_cast<uint64_t>(size));
    Options options;
    const auto outcome = run(star, lowerAll(call, size, "ring"), call, options);
    const int steps = 2 * (size - 1);
    expectNear(outcome.ns, steps * (12'800 + 2000 + 700));
    for (const int64_t ns : outcome.rankNs) EXPECT_EQ(ns, outcome.ns);
    EXPECT_EQ(outcome.transfers, static_cast<uint64_t>(steps * size));
    for (const uint64_t bytes : outcome.linkBytes) {
      EXPECT_EQ(bytes, 128'000u * static_cast<uint64_t>(steps));
    }
    EXPECT_NEAR(outcome.linkUse[0], 12'800.0 / (12'800 + 2000 + 700), 1e-4);
    EXPECT_NEAR(outcome.algorithmGbPerS, 128'000.0 * size / static_cast<double>(outcome.ns), 1e-3);
  }
}

// A line of ranks: the first chunk passes them all, the others follow without gaps.
TEST(Simulate, chainIsAPipeline) {
  const int size = 5;
  const uint64_t chunk = 64'000, chunks = 20;
  const auto star = makeStar(size, 10 * kGigabyte, 500);
  const ir::Call call = callOf(Collective::kBroadcast, chunk * chunks);
  const auto outcome = run(star, lowerAll(call, size, "chain", chunk), call, freeMessages());
  expectNear(outcome.ns, (size - 1) * (6400 + 1000) + (chunks - 1) * 6400.0);
  // The root is done when its last message may be written: its slots are free again.
  EXPECT_LT(outcome.rankNs[0], outcome.rankNs[1]);
  EXPECT_EQ(outcome.busiest.size(), 2u * (size - 1));
}

// Nothing but latency: a binomial tree's depth, a round trip's parts.
TEST(Simulate, latencyBoundTree) {
  for (const int size : {2, 5, 8, 9, 33}) {
    const auto star = makeStar(size, 10 * kGigabyte, 1000);
    const ir::Call call = callOf(Collective::kBroadcast, 0);
    Options options;
    const auto outcome = run(star, lowerAll(call, size, "tree"), call, options);
    const double depth = std::floor(std::log2(size));  // most bits set in a number below size
    const double most = size == 9 || size == 33 ? std::log2(size - 1) : depth;
    EXPECT_LE(outcome.ns, static_cast<int64_t>(std::ceil(std::log2(size))) * 2700);
    EXPECT_GE(outcome.ns, static_cast<int64_t>(std::min(depth, most)) * 2700);
    EXPECT_EQ(outcome.ns % 2700, 0);
    EXPECT_EQ(outcome.algorithmGbPerS, 0);
  }
}

// All send to the root at once: its link is the limit.
TEST(Simulate, incast) {
  const int size = 6;
  const auto star = makeStar(size, kGigabyte);
  const ir::Call call = callOf(Collective::kGather, 100'000);
  const auto outcome = run(star, lowerAll(call, size, "exchange"), call, freeMessages());
  expectNear(outcome.ns, 5 * 100'000.0);
  EXPECT_NEAR(outcome.linkUse[static_cast<size_t>(outcome.busiest[0])], 1, 1e-4);
  EXPECT_EQ(outcome.busiest[0], 1);
}

// Both directions at once on a bus that has one capacity for both.
TEST(Simulate, halfDuplex) {
  auto star = makeStar(2, kGigabyte);
  const ir::Call call = callOf(Collective::kAllReduce, 2'048'000);
  const auto schedules = lowerAll(call, 2, "ring");
  expectNear(run(star, schedules, call, freeMessages()).ns, 2'048'000);
  star.resources.push_back({"bus", kGigabyte, {{0, 1}, {1, 1}}});
  const auto outcome = run(star, schedules, call, freeMessages());
  expectNear(outcome.ns, 4'096'000);
  EXPECT_EQ(outcome.resourceBytes, std::vector<uint64_t>{4'096'000});
  EXPECT_NEAR(outcome.resourceUse[0], 1, 1e-4);
}

// A far peer: no more than `slots` chunks in a round trip.
TEST(Simulate, slotsAreTheWindow) {
  const auto pair = makeStar(2, 100 * kGigabyte, 10'000'000);
  const uint64_t chunk = 64'000, chunks = 40;
  const ir::Call call = callOf(Collective::kBroadcast, chunk * chunks);
  const auto schedules = lowerAll(call, 2, "chain", chunk);
  Options options = freeMessages();
  for (const int slots : {1, 4, 5, 40}) {
    options.fifoSlots = slots;
    // 20 ms there, 20 ms until the sender knows.
    const double rounds = std::ceil(static_cast<double>(chunks) / slots);
    const double last = static_cast<double>(chunks) - (rounds - 1) * slots;
    const double sent = last * 640 + (slots == 40 ? 0 : (rounds - 1) * 640);
    const auto outcome = run(pair, schedules, call, options);
    EXPECT_NEAR(static_cast<double>(outcome.ns), (2 * rounds - 1) * 2e7 + sent, 30'000);
  }
}

// Preparing a message overlaps with sending the one before it, and bounds the rate of short ones.
TEST(Simulate, messagesAreOverlapped) {
  const auto pair = makeStar(2, kGigabyte);
  Options options = freeMessages();
  options.messageNs.fill(1000);
  options.fifoSlots = 100;
  for (const uint64_t chunk : {128u, 12'800u}) {
    const ir::Call call = callOf(Collective::kBroadcast, 50 * chunk);
    const auto outcome = run(pair, lowerAll(call, 2, "chain", chunk), call, options);
    const auto wire = static_cast<double>(chunk);
    expectNear(outcome.ns, wire < 1000 ? 50 * 1000 + wire : 1000 + 50 * wire);
  }
}

TEST(Simulate, flowCapacity) {
  const auto pair = makeStar(2, 10 * kGigabyte);
  const ir::Call call = callOf(Collective::kBroadcast, 1'000'000);
  Options options = freeMessages();
  options.flowCapacity[static_cast<size_t>(topology::LinkKind::kNetwork)] = 4 * kGigabyte;
  expectNear(run(pair, lowerAll(call, 2, "chain"), call, options).ns, 250'000);
}

// A rank's own engines: the reduction reads two sources, the copy writes one destination.
TEST(Simulate, enginesTakeTime) {
  const auto pair = makeStar(2, 1000 * kGigabyte);
  const ir::Call call = callOf(Collective::kReduce, 1'000'000);
  const auto schedules = lowerAll(call, 2, "chain");
  Options options = freeMessages();
  expectNear(run(pair, schedules, call, options).ns, 1000);
  options.reduceCapacity = 4 * kGigabyte;
  expectNear(run(pair, schedules, call, options).ns, 1000 + 500'000);
  const ir::Call broadcast = callOf(Collective::kBroadcast, 1'000'000);
  options.copyCapacity = 2 * kGigabyte;
  options.stepNs = 100;
  // The root stores and sends in one step: 500 us, then 1 us of wire, then 500 us at the other end.
  expectNear(run(pair, lowerAll(broadcast, 2, "chain"), broadcast, options).ns, 1'001'000);
}

// Peers' memory: expose, attach, read all inputs, write all outputs.
TEST(Simulate, directReadsAndWrites) {
  const int size = 4;
  const auto star = makeStar(size, kGigabyte, 100);
  const ir::Call call = callOf(Collective::kAllReduce, 4'096'000);
  const auto outcome = run(star, lowerAll(call, size, "direct"), call, freeMessages());
  // Each rank reads 3 blocks and writes 3: 6 blocks of 1.024 MB in each direction of its link. The
  // exposure, the first read's round trip and the signal add their latencies.
  expectNear(outcome.ns, 6'144'000 + 200 + 400 + 200);
  EXPECT_EQ(outcome.linkBytes[0], 6'144'000u);
  EXPECT_EQ(outcome.transfers, 24u);
}

// Posts: everyone sees each after the latency between them, and reads its data.
TEST(Simulate, boardCarriesData) {
  const int size = 3;
  const auto star = makeStar(size, kGigabyte, 100);
  const ir::Call call = callOf(Collective::kAllReduce, 8000);
  Options options = freeMessages();
  options.messageNs.fill(50);
  const auto outcome = run(star, lowerAll(call, size, "one_shot", 0, true), call, options);
  expectNear(outcome.ns, 50 + 200 + 16'000);
}

// Sends and receives: ranks that take no part have nothing to do.
TEST(Simulate, pair) {
  const auto star = makeStar(3, kGigabyte);
  const ir::Call call = callOf(Collective::kSend, 12'800, 2);
  ir::Plan plan;
  plan.collective = Collective::kSend;
  plan.algorithm = "fifo";
  plan.root = 2;
  std::vector<ir::Schedule> schedules(3);
  for (int rank = 0; rank < 3; ++rank) {
    auto& idle = schedules[static_cast<size_t>(rank)];
    idle.collective = Collective::kSend;
    idle.rank = rank;
    idle.size = 3;
    idle.sliceWeights = {1};
  }
  schedules[0] = schedule::lower(plan, 3, 0).take();
  plan.collective = Collective::kRecv;
  plan.root = 0;
  schedules[2] = schedule::lower(plan, 3, 2).take();
  const auto outcome = run(star, schedules, call, freeMessages());
  EXPECT_EQ(outcome.rankNs, (std::vector<int64_t>{0, 0, 12'800}));
}

TEST(Simulate, oneRank) {
  const auto star = makeStar(1, kGigabyte);
  const ir::Call call = callOf(Collective::kAllReduce, 1'000'000);
  auto options = freeMessages();
  EXPECT_EQ(run(star, lowerAll(call, 1, "ring"), call, options).ns, 0);
  options.copyCapacity = kGigabyte;
  expectNear(run(star, lowerAll(call, 1, "ring"), call, options).ns, 1'000'000);
}

// Steps of other lanes are waited for, chunk by chunk.
TEST(Simulate, lanesWaitForEachOther) {
  const auto pair = makeStar(2, kGigabyte);
  const ir::Call call = callOf(Collective::kBroadcast, 25'600);
  auto schedules = lowerAll(call, 2, "chain", 12'800);
  // What arrived is copied by a second lane that takes 10 us for each chunk, and only then is the
  // next message taken.
  ir::Lane copy{.chunkBytes = 12'800};
  ir::Step step;
  step.sources = {{.space = Space::kOutput, .rank = 1}};
  step.destinations = {{.space = Space::kOutput, .rank = 1}};
  step.afterLane = 0;
  copy.steps = {step};
  schedules[1].lanes.push_back(copy);
  Options options = freeMessages();
  options.copyCapacity = kGigabyte;
  // Root's copy, wire, the copy of the FIFO, the second copy; then once more, overlapped: the last
  // chunk's copy from the FIFO and the first's second copy share the engine.
  const auto outcome = run(pair, schedules, call, options);
  EXPECT_GT(outcome.ns, 4 * 12'800);
  EXPECT_LT(outcome.ns, 8 * 12'800);
}

// A plan's own routes: the long way round.
TEST(Simulate, givenRoutes) {
  topology::Topology ring;
  for (int rank = 0; rank < 3; ++rank) ring.addNode({.id = "r" + std::to_string(rank)});
  for (int rank = 0; rank < 3; ++rank) {
    ring.addDuplex({.from = rank, .to = (rank + 1) % 3, .capacity = kGigabyte});
  }
  const ir::Call call = callOf(Collective::kBroadcast, 1'000'000);
  const auto schedules = lowerAll(call, 3, "one_shot");
  Options options = freeMessages();
  expectNear(run(ring, schedules, call, options).ns, 1'000'000);
  options.routes = {{0, 2, 0, {0, 2}}};
  const auto outcome = run(ring, schedules, call, options);
  expectNear(outcome.ns, 2'000'000);
  EXPECT_EQ(outcome.linkBytes[0], 2'000'000u);
  options.routes = {{0, 2, 0, {0}}};
  EXPECT_NE(errorOf(ring, schedules, call, options).find("ends at r1"), std::string::npos);
}

TEST(Simulate, sameInputSameOutcome) {
  std::mt19937_64 random(3);
  const auto boxes = makeBoxes(3, 450 * kGigabyte, 50 * kGigabyte, 25 * kGigabyte);
  std::vector<Parents> trees;
  for (int tree = 0; tree < 5; ++tree) trees.push_back(randomTree(24, random));
  const auto schedules = lowerTrees(trees, 8192);
  const ir::Call call = callOf(Collective::kAllReduce, 5 * 8192 * 30 + 1236);
  const auto first = run(boxes, schedules, call, {});
  EXPECT_EQ(first, run(boxes, schedules, call, {}));
  // The digest of a whole run, as it is on every machine.
  EXPECT_EQ(first.ns, 143'148);
  EXPECT_EQ(first.transfers, 7130u);
}

// ---- what can not be --------------------------------------------------------------------------

// Both wait for the other to send first.
TEST(Simulate, deadlockSaysWhoWaits) {
  const auto pair = makeStar(2, kGigabyte);
  const ir::Call call = callOf(Collective::kAllReduce, 4096);
  std::vector<ir::Schedule> schedules = lowerAll(call, 2, "recursive_doubling");
  for (auto& schedule : schedules)
    std::swap(schedule.lanes[0].steps[0], schedule.lanes[0].steps[1]);
  const std::string text = errorOf(pair, schedules, call);
  EXPECT_NE(text.find("deadlock: 2 of 2 lanes are left; rank 0 (recursive_doubling) lane 0 step 0 "
                      "(reduce) chunk 0 waits for a message from rank 1 on channel 0; rank 1 "),
            std::string::npos)
      << text;
}

TEST(Simulate, everyWaitHasAText) {
  const auto pair = makeStar(2, kGigabyte);
  const ir::Call call = callOf(Collective::kBroadcast, 128 * 10);
  // A receiver that stops after one chunk.
  auto schedules = lowerAll(call, 2, "chain", 128);
  schedules[1].lanes[0].chunkBytes = 0;
  EXPECT_NE(errorOf(pair, schedules, call).find("waits for a free slot to rank 1 on channel 0"),
            std::string::npos);
  // Nobody sends.
  schedules = lowerAll(call, 2, "chain");
  schedules[0].lanes.clear();
  EXPECT_NE(errorOf(pair, schedules, call).find("1 of 1 lanes are left"), std::string::npos);
  // Nobody posts.
  schedules = lowerAll(call, 2, "direct");
  schedules[0].lanes[0].steps.erase(schedules[0].lanes[0].steps.begin());
  EXPECT_NE(errorOf(pair, schedules, call).find("waits for post 0 of rank 0"), std::string::npos);
  // A lane that waits for itself.
  schedules = lowerAll(call, 2, "chain");
  schedules[0].lanes[0].steps[0].afterLane = 0;
  EXPECT_NE(errorOf(pair, schedules, call).find("waits for step 0 of lane 0"), std::string::npos);
}

TEST(Simulate, badQuestions) {
  const auto pair = makeStar(2, kGigabyte);
  const ir::Call call = callOf(Collective::kAllReduce, 4096);
  const auto schedules = lowerAll(call, 2, "ring");
  const auto find = [&](const char* part, const std::string& text) {
    EXPECT_NE(text.find(part), std::string::npos) << text;
  };
  find("2 schedules for the 3 ranks", errorOf(makeStar(3, 1), schedules, call));
  find("0 schedules", errorOf(pair, {}, call));
  auto cut = pair;
  cut.links.pop_back();
  EXPECT_FALSE(simulate(cut, schedules, call).isOk());
  ir::Call typeless = call;
  typeless.type = static_cast<ir::DataType>(99);
  find("type", errorOf(pair, schedules, typeless));
  Options options;
  options.fifoSlots = 0;
  find("0 slots", errorOf(pair, schedules, call, options));
  options = {};
  options.toleranceBits = 41;
  find("41 bits", errorOf(pair, schedules, call, options));
  options = {};
  options.messageNs[0] = -1;
  find("negative", errorOf(pair, schedules, call, options));
  ir::Call uneven = callOf(Collective::kAllGatherV, 4096);
  options = {};
  options.counts = {1, 2};
  find("2 counts of 3 elements for 2 ranks and 1024", errorOf(pair, schedules, uneven, options));
  find("more than 100 days", errorOf(makeStar(2, 1), schedules, {.count = uint64_t{1} << 60}));
}

// Every number of a Schedule out of its range: an error that says where, and no crash.
TEST(Simulate, bentSchedules) {
  const auto star = makeStar(3, kGigabyte);
  const ir::Call call = callOf(Collective::kAllReduce, 4096);
  const auto good = lowerAll(call, 3, "two_shot", 128);
  const auto expectError = [&](auto bend) {
    auto schedules = good;
    bend(schedules[1]);
    EXPECT_FALSE(simulate(star, schedules, call).isOk());
  };
  for (const int value : {-2, -1, 3, 1 << 30, INT32_MAX}) {
    expectError([&](ir::Schedule& s) { s.rank = value; });
    expectError([&](ir::Schedule& s) { s.size = value == 3 ? 4 : value; });
    expectError([&](ir::Schedule& s) { s.lanes[0].slice = value; });
    expectError([&](ir::Schedule& s) { s.lanes[0].steps[0].sources[0].rank = value; });
    expectError([&](ir::Schedule& s) { s.lanes[0].steps[0].sources[0].block = value; });
    expectError([&](ir::Schedule& s) { s.lanes[0].steps[0].destinations[0].rank = value; });
    expectError([&](ir::Schedule& s) { s.lanes[2].steps[0].sources[0].rank = value; });
    expectError(
        [&](ir::Schedule& s) { s.lanes[0].steps[0].sources[0].blocks = value == 3 ? 0 : value; });
    if (value < 0) continue;
    expectError([&](ir::Schedule& s) { s.lanes[0].steps[0].afterLane = value; });
    expectError([&](ir::Schedule& s) {
      s.lanes[0].steps[0].afterLane = 1;
      s.lanes[0].steps[0].afterStep = value;
    });
  }
  expectError([](ir::Schedule& s) { s.lanes[0].channel = -1; });
  expectError([](ir::Schedule& s) { s.lanes[0].channel = 1 << 20; });
  expectError([](ir::Schedule& s) { s.lanes[0].blocks = 0; });
  expectError([](ir::Schedule& s) { s.lanes[0].chunkBytes = 100; });
  expectError([](ir::Schedule& s) { s.sliceWeights.clear(); });
  expectError([](ir::Schedule& s) { s.lanes[0].steps[0].post = 1 << 20; });
  expectError([](ir::Schedule& s) { s.lanes[0].steps[0].peers = {7}; });
  expectError([](ir::Schedule& s) { s.lanes[1] = s.lanes[0]; });
  expectError([](ir::Schedule& s) {
    auto& to = s.lanes[0].steps[0].destinations;
    to.push_back(to[0]);
  });
}

}  // namespace
}  // namespace tutti::sim
