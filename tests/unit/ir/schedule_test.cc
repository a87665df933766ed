#include "src/ir/schedule.h"

#include <gtest/gtest.h>

namespace tutti::ir {
namespace {

TEST(Blocks, coverTheVectorWithoutGaps) {
  for (const uint64_t elementBytes : {1, 2, 4, 8}) {
    for (const uint64_t count : {0ull, 1ull, 31ull, 32ull, 1000ull, 1ull << 40}) {
      for (const int blocks : {1, 2, 3, 7, 64}) {
        uint64_t end = 0;
        for (int index = 0; index < blocks; ++index) {
          const BlockRange block = equalBlock(count, elementBytes, blocks, index);
          EXPECT_EQ(block.begin, end);
          if (block.begin != count) {
            EXPECT_EQ(block.begin * elementBytes % 128, 0u);
          }
          end = block.begin + block.length;
        }
        EXPECT_EQ(end, count);
      }
    }
  }
}

TEST(Blocks, areAboutEqual) {
  const BlockRange first = equalBlock(1 << 20, 4, 3, 0);
  const BlockRange last = equalBlock(1 << 20, 4, 3, 2);
  EXPECT_LE(last.length - first.length, 3u * 32);
}

TEST(Blocks, doNotOverflow) {
  const uint64_t count = uint64_t{1} << 63;
  EXPECT_EQ(equalBlock(count, 1, 4, 2), (BlockRange{uint64_t{1} << 62, uint64_t{1} << 61}));
}

TEST(Slices, followTheWeights) {
  const std::vector<int32_t> weights = {1, 2, 5};
  EXPECT_EQ(weightedSlice(8 * 128, 1, weights, 0), (BlockRange{0, 128}));
  EXPECT_EQ(weightedSlice(8 * 128, 1, weights, 1), (BlockRange{128, 256}));
  EXPECT_EQ(weightedSlice(8 * 128 + 5, 1, weights, 2), (BlockRange{384, 645}));
  EXPECT_EQ(weightedSlice(100, 4, {1}, 0), (BlockRange{0, 100}));
  EXPECT_EQ(
      weightedSlice(100, 4, {1, 1, 1, 0}, 3).begin + weightedSlice(100, 4, {1, 1, 1, 0}, 3).length,
      100u);
}

TEST(Slices, makeRuns) {
  const std::vector<int32_t> weights = {1, 2, 5, 8};
  for (const uint64_t count : {0, 5, 16 * 128, 100001}) {
    for (int first = 0; first < 4; ++first) {
      const BlockRange run = weightedSlice(count, 1, weights, first, 4 - first);
      const BlockRange head = weightedSlice(count, 1, weights, first);
      EXPECT_EQ(run.begin, head.begin);
      EXPECT_EQ(run.begin + run.length, count);
      if (first == 3) continue;
      const BlockRange tail = weightedSlice(count, 1, weights, first + 1, 3 - first);
      EXPECT_EQ(tail.begin, head.begin + head.length);
    }
  }
}

TEST(Parts, areTheLanesOrTheSteps) {
  Schedule schedule;
  schedule.sliceWeights = {1, 2, 1};
  schedule.sliceChunks = {128, 256, 384};
  Step step;
  step.slice = 1;
  step.slices = 2;
  EXPECT_EQ(partOf(schedule, {.slice = 2, .chunkBytes = 1024, .steps = {}}, step),
            (Part{2, 1, 1024}));
  const Lane mixed{.slice = -1, .steps = {}};
  EXPECT_EQ(partOf(schedule, mixed, step), (Part{1, 2, 640}));
  EXPECT_EQ(rulingParts(schedule, mixed),
            (std::vector<Part>{{0, 1, 128}, {1, 1, 256}, {2, 1, 384}}));
  EXPECT_EQ(rulingParts(schedule, {.slice = 0, .chunkBytes = 512, .steps = {}}),
            (std::vector<Part>{{0, 1, 512}}));
}

TEST(Narrow, channelsLieSideBySide) {
  const std::vector<uint64_t> widths = {128, 512, 256};
  EXPECT_EQ(narrowOffset(widths, 0), 0u);
  EXPECT_EQ(narrowOffset(widths, 2), 640u);
  EXPECT_EQ(narrowOffset(widths, 3), 896u);
}

TEST(Iterations, coverTheLongestBlock) {
  EXPECT_EQ(iterationCount(0, 128), 1u);
  EXPECT_EQ(iterationCount(1000, 0), 1u);
  EXPECT_EQ(iterationCount(128, 128), 1u);
  EXPECT_EQ(iterationCount(129, 128), 2u);
}

Schedule exampleSchedule() {
  Schedule schedule;
  schedule.collective = Collective::kReduceScatter;
  schedule.rank = 2;
  schedule.size = 4;
  schedule.root = 1;
  schedule.algorithm = "example";
  schedule.sliceWeights = {3, 1};
  schedule.scratchBlocks = 5;
  schedule.needsPeerMemory = true;
  schedule.acceptsKernelCopy = true;
  Lane& lane = schedule.lanes.emplace_back();
  lane = {.channel = 1, .slice = 1, .blocks = 4, .chunkBytes = 16384, .steps = {}};
  Step step;
  step.kind = StepKind::kReduce;
  step.isFinal = true;
  step.sources = {{.space = Space::kInput, .rank = 2, .block = 1},
                  {.space = Space::kInput, .rank = 3, .block = 1, .blocks = 2},
                  {.space = Space::kFifo, .rank = 0},
                  {.space = Space::kFifo, .rank = 1, .channel = 0},
                  {.space = Space::kBoard, .rank = 1, .block = 3},
                  {.space = Space::kBoard, .rank = 0, .block = 3, .part = 2}};
  step.destinations = {{.space = Space::kScratch, .rank = 2, .block = 4},
                       {.space = Space::kOutput, .rank = 0, .block = 0},
                       {.space = Space::kBoard, .rank = kEveryone, .block = 1}};
  step.afterLane = 0;
  step.afterStep = 7;
  lane.steps.push_back(step);
  Step wait;
  wait.kind = StepKind::kWait;
  wait.post = 3;
  wait.peers = {0, 3};
  lane.steps.push_back(wait);
  wait.kind = StepKind::kAttach;
  wait.peers = {kEveryone};
  wait.afterLane = 0;
  lane.steps.push_back(wait);
  wait = {};
  wait.kind = StepKind::kSignal;
  lane.steps.push_back(wait);
  schedule.lanes.push_back({});
  schedule.sliceChunks = {384, 128};
  schedule.narrowBytes = {4096, 128};
  Lane& mixed = schedule.lanes.emplace_back();
  mixed = {.channel = 4, .slice = -1, .blocks = 1, .chunkBytes = 0, .steps = {}};
  Step part;
  part.sources = {{.space = Space::kFifo, .rank = 1, .channel = 3}};
  part.destinations = {{.space = Space::kScratch, .rank = 2, .block = 1, .blocks = 2, .like = 3}};
  part.slice = 0;
  part.slices = 2;
  part.afterLane = 1;
  mixed.steps.push_back(part);
  part = {};
  part.kind = StepKind::kPass;
  part.slice = 1;
  part.afterLane = 0;
  part.afterStep = 2;
  mixed.steps.push_back(part);
  return schedule;
}

TEST(ScheduleText, isReadBack) {
  const Schedule schedule = exampleSchedule();
  const auto read = parseSchedule(toString(schedule));
  ASSERT_TRUE(read.isOk()) << read.status().toString();
  EXPECT_EQ(*read, schedule) << toString(schedule) << toString(*read);
  const auto empty = parseSchedule(toString(Schedule{}));
  ASSERT_TRUE(empty.isOk()) << empty.status().toString();
  EXPECT_EQ(*empty, Schedule{});
}

TEST(ScheduleText, looksLikeThis) {
  EXPECT_EQ(toString(exampleSchedule()),
            "schedule reduce_scatter example rank 2 of 4 root 1\n"
            "slices 3 1\n"
            "slice_chunks 384 128\n"
            "narrow 4096 128\n"
            "scratch 5\n"
            "peer_memory kernel_copy\n"
            "lane channel 1 slice 1 blocks 4 chunk 16384\n"
            "  reduce final in[1] 3:in[1:2] fifo(0) fifo(1,0) 1:board[3] 0:board[3].2 ->"
            " scratch[4] 0:out[0] board[1] after 0.7\n"
            "  wait 3 from 0 3\n"
            "  attach 3 from all after 0.0\n"
            "  signal 0\n"
            "lane channel 0 slice 0 blocks 1 chunk 0\n"
            "lane channel 4 slice -1 blocks 1 chunk 0\n"
            "  move fifo(1,3) -> scratch[1:2]~3 slices 0:2 after 1.0\n"
            "  pass slices 1:1 after 0.2\n");
}

TEST(ScheduleText, errorsNameTheLine) {
  const std::string head = "schedule all_reduce x rank 0 of 2 root 0\nslices 1\nscratch 0\n";
  const std::string lane = head + "lane channel 0 slice 0 blocks 1 chunk 0\n";
  ASSERT_TRUE(parseSchedule(lane).isOk());
  for (const std::string line :
       {"move in[0]", "move in[0] -> out[0] -> out[1]", "move in[x] -> out[0]", "fly 3",
        "move in[0] -> out[0] after 1", "wait 1 from", "move in[0 -> out[0]",
        "move fifo(1 -> out[0]", "signal", "signal 1 2", "pass 1", "pass slices 2",
        "move in[0] -> out[0] slices", "move in[0] -> out[0] after 1.1 slices 1:1",
        "move in[0]~ -> out[0]", "move in[99999999999] -> out[0]", "", "lane channel 0"}) {
    const auto read = parseSchedule(lane + line + "\n");
    ASSERT_FALSE(read.isOk()) << line;
    EXPECT_NE(read.status().text().find("line 5"), std::string_view::npos) << line;
  }
  EXPECT_FALSE(parseSchedule("").isOk());
  EXPECT_FALSE(parseSchedule("schedule all_reduce x rank 0\n").isOk());
  EXPECT_FALSE(parseSchedule("schedule no_such x rank 0 of 2 root 0\n").isOk());
  EXPECT_FALSE(parseSchedule(head + "move in[0] -> out[0]\n").isOk()) << "no lane";
}

}  // namespace
}  // namespace tutti::ir
