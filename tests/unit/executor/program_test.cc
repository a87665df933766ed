// From a Schedule to byte ranges.
#include "src/executor/program.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>

#include "src/base/errors.h"
#include "src/plan/plan.h"
#include "src/schedule/lower.h"

namespace tutti::executor {
namespace {

using ir::Call;
using ir::Collective;
using ir::DataType;
using ir::Operand;
using ir::RedOp;
using ir::Schedule;
using ir::Space;
using ir::Step;
using ir::StepKind;

constexpr uint64_t kStreaming = 4 << 20;

Operand operand(Space space, int rank, int block = 0, int blocks = 1) {
  return {.space = space, .rank = rank, .block = block, .blocks = blocks};
}

Step move(Operand from, Operand to) {
  return {.kind = StepKind::kMove, .sources = {from}, .destinations = {to}};
}

// One lane of rank 1 of 3.
Schedule oneLane(Collective collective, std::vector<Step> steps, int blocks = 1,
                 uint64_t chunk = 0) {
  Schedule schedule;
  schedule.collective = collective;
  schedule.rank = 1;
  schedule.size = 3;
  schedule.algorithm = "test";
  schedule.sliceWeights = {1};
  schedule.lanes = {{.blocks = blocks, .chunkBytes = chunk, .steps = std::move(steps)}};
  return schedule;
}

Program compiled(const Schedule& schedule, const Call& call, const BlockTable& table = {}) {
  auto program = compile(schedule, call, table, kStreaming);
  EXPECT_TRUE(program.isOk()) << program.status().toString();
  return program.isOk() ? program.take() : Program{};
}

std::vector<Piece> piecesOf(const Program& program, size_t operand) {
  const auto& flat = program.operands[operand];
  const auto begin = program.pieces.begin() + flat.pieceBegin;
  return {begin, begin + flat.pieceCount};
}

Call floats(Collective collective, uint64_t count) {
  return {collective, DataType::kFloat32, RedOp::kSum, count, 0};
}

TEST(Program, VectorBlocksStartAtMultiplesOf128Bytes) {
  const auto step = move(operand(Space::kInput, 1, 0, 3), operand(Space::kOutput, 1, 0, 3));
  const Program program =
      compiled(oneLane(Collective::kAllReduce, {step}, 3), floats(Collective::kAllReduce, 1000));
  const auto pieces = piecesOf(program, 0);
  ASSERT_EQ(pieces.size(), 3u);
  uint64_t end = 0;
  for (const auto& piece : pieces) {
    EXPECT_EQ(piece.offset, end);
    EXPECT_EQ(piece.offset % 128, 0u);
    end += piece.bytes;
  }
  EXPECT_EQ(end, 4000u);
  EXPECT_EQ(program.inputBytes, 4000u);
  EXPECT_EQ(program.lanes[0].iterations, 1u);
}

TEST(Program, RowsHaveABlockForEachRank) {
  const auto step = move(operand(Space::kInput, 1), operand(Space::kOutput, 1, 1));
  const Program program =
      compiled(oneLane(Collective::kAllGather, {step}), floats(Collective::kAllGather, 25));
  EXPECT_EQ(piecesOf(program, 0)[0].offset, 0u);
  EXPECT_EQ(piecesOf(program, 1)[0].offset, 100u);
  EXPECT_EQ(piecesOf(program, 1)[0].bytes, 100u);
  EXPECT_EQ(program.inputBytes, 100u);
  EXPECT_EQ(program.outputBytes, 300u);
}

TEST(Program, TablesRuleTheVForms) {
  const auto step = move(operand(Space::kInput, 1), operand(Space::kOutput, 1, 0, 3));
  const Program program = compiled(oneLane(Collective::kAllGatherV, {step}),
                                   floats(Collective::kAllGatherV, 17), {{10, 0, 7}, {100, 0, 50}});
  const auto pieces = piecesOf(program, 1);
  EXPECT_EQ(pieces[0].offset, 400u);
  EXPECT_EQ(pieces[0].bytes, 40u);
  EXPECT_EQ(pieces[1].bytes, 0u);
  EXPECT_EQ(pieces[2].offset, 200u);
  EXPECT_EQ(program.inputBytes, 0u) << "this rank's block is empty";
  EXPECT_EQ(program.outputBytes, 440u);
}

TEST(Program, ChunkLoopsCoverTheLongestBlock) {
  const auto step = move(operand(Space::kInput, 1), operand(Space::kFifo, 2));
  const Call call = floats(Collective::kAllReduce, 1000);
  const auto iterations = [&](uint64_t chunk) {
    return compiled(oneLane(Collective::kAllReduce, {step}, 1, chunk), call).lanes[0].iterations;
  };
  EXPECT_EQ(iterations(0), 1u);
  EXPECT_EQ(iterations(128), 32u);
  EXPECT_EQ(iterations(4096), 1u);
  EXPECT_EQ(iterations(3968), 2u);
  EXPECT_EQ(
      compiled(oneLane(Collective::kAllReduce, {step}, 1, 128), floats(Collective::kAllReduce, 0))
          .lanes[0]
          .iterations,
      1u)
      << "signals run once even for nothing";
}

TEST(Program, ScratchBlocksAreOneChunkLongAndAligned) {
  auto schedule = oneLane(Collective::kAllGather,
                          {move(operand(Space::kFifo, 2), operand(Space::kScratch, 1, 1))}, 1, 256);
  schedule.scratchBlocks = 2;
  const Program program = compiled(schedule, floats(Collective::kAllGather, 1000));
  EXPECT_EQ(piecesOf(program, 1)[0].offset, 256u);
  EXPECT_EQ(program.scratchBytes, 512u);
}

TEST(Program, TooMuchScratchIsADefect) {
  auto schedule = oneLane(Collective::kAllGather,
                          {move(operand(Space::kFifo, 2), operand(Space::kScratch, 1, 1))});
  schedule.scratchBlocks = 3;
  const auto program =
      compile(schedule, floats(Collective::kAllGather, 1 << 18), BlockTable{}, kStreaming);
  ASSERT_FALSE(program.isOk());
  EXPECT_EQ(program.status().errorId(), base::kErrInternal);
}

TEST(Program, LengthsComeFromUserBuffersWhereThereAreAny) {
  const auto steps = {move(operand(Space::kScratch, 1), operand(Space::kOutput, 1, 2)),
                      move(operand(Space::kFifo, 0), operand(Space::kScratch, 1)),
                      Step{.kind = StepKind::kSignal}};
  auto schedule = oneLane(Collective::kAllGather, steps);
  schedule.scratchBlocks = 1;
  const Program program = compiled(schedule, floats(Collective::kAllGather, 10));
  EXPECT_EQ(program.steps[0].lengthOperand, 1);
  EXPECT_EQ(program.steps[1].lengthOperand, 3) << "scratch, where nothing better is there";
  EXPECT_EQ(program.steps[2].lengthOperand, -1);
}

TEST(Program, AveragesOfIntegersDivideAndOfFloatsScale) {
  const auto steps = {move(operand(Space::kInput, 1), operand(Space::kOutput, 1))};
  const auto schedule = oneLane(Collective::kAllReduce, steps);
  const Program whole =
      compiled(schedule, {Collective::kAllReduce, DataType::kInt32, RedOp::kAvg, 5, 0});
  EXPECT_EQ(whole.divisor, 3u);
  EXPECT_EQ(whole.kernelOp, RedOp::kSum);
  const Program real =
      compiled(schedule, {Collective::kAllReduce, DataType::kFloat16, RedOp::kAvg, 5, 0});
  EXPECT_EQ(real.divisor, 0u);
  EXPECT_TRUE(real.operands[0].isScaled);
  EXPECT_FALSE(real.operands[1].isScaled) << "results are not contributions";
  const Program largest =
      compiled(schedule, {Collective::kAllReduce, DataType::kFloat16, RedOp::kMax, 5, 0});
  EXPECT_EQ(largest.kernelOp, RedOp::kMax);
}

TEST(Program, NonReducingCollectivesScaleNothing) {
  const auto steps = {move(operand(Space::kInput, 1), operand(Space::kOutput, 1))};
  const Program program =
      compiled(oneLane(Collective::kBroadcast, steps), floats(Collective::kBroadcast, 5));
  EXPECT_FALSE(program.operands[0].isScaled);
}

TEST(Program, EveryoneIsAllOthers) {
  const Step wait{.kind = StepKind::kWait, .peers = {ir::kEveryone}};
  const Program program =
      compiled(oneLane(Collective::kAllReduce, {wait}), floats(Collective::kAllReduce, 5));
  EXPECT_EQ(program.peers, (std::vector<ir::Rank>{0, 2}));
}

TEST(Program, LargeResultsAreStreamed) {
  const auto steps = {move(operand(Space::kInput, 1), operand(Space::kOutput, 1))};
  const auto schedule = oneLane(Collective::kAllReduce, steps);
  EXPECT_FALSE(compiled(schedule, floats(Collective::kAllReduce, 1000)).isStreaming);
  EXPECT_TRUE(compiled(schedule, floats(Collective::kAllReduce, kStreaming / 4)).isStreaming);
}

TEST(Program, RefusesSchedulesOutsideTheLimits) {
  const Call call = floats(Collective::kAllReduce, 5);
  auto badPost = oneLane(Collective::kAllReduce,
                         {Step{.kind = StepKind::kSignal, .post = ir::Limits::kPosts}});
  EXPECT_FALSE(compile(badPost, call, BlockTable{}, kStreaming).isOk());
  auto badChannel = oneLane(Collective::kAllReduce, {Step{.kind = StepKind::kSignal}});
  badChannel.lanes[0].channel = ir::Limits::kChannels;
  EXPECT_FALSE(compile(badChannel, call, BlockTable{}, kStreaming).isOk());
  badChannel.narrowBytes = {128};
  EXPECT_TRUE(compile(badChannel, call, BlockTable{}, kStreaming).isOk());
  badChannel.narrowBytes = {ir::Limits::kFifoSlotBytes, 128};
  EXPECT_FALSE(compile(badChannel, call, BlockTable{}, kStreaming).isOk());
  badChannel.narrowBytes.assign(ir::Limits::kNarrowChannels + 1, 128);
  EXPECT_FALSE(compile(badChannel, call, BlockTable{}, kStreaming).isOk());
}

// Narrow channels begin where the one before ends; programs with other cuts say so.
TEST(Program, NarrowChannelsHavePlacesInTheSlots) {
  const Operand from{.space = Space::kFifo, .rank = 0, .channel = ir::Limits::kChannels + 1};
  const Operand wide{.space = Space::kFifo, .rank = 2, .channel = 1};
  auto schedule = oneLane(Collective::kBroadcast, {move(from, operand(Space::kOutput, 1)),
                                                   move(wide, operand(Space::kOutput, 1))});
  schedule.narrowBytes = {256, 128};
  const Call call = floats(Collective::kBroadcast, 5);
  const Program program = compiled(schedule, call);
  EXPECT_EQ(program.operands[0].slotOffset, 256u);
  EXPECT_TRUE(program.operands[0].isCut);
  EXPECT_FALSE(program.operands[2].isCut);
  EXPECT_NE(program.slotCut, 0u);
  schedule.narrowBytes = {128, 256};
  EXPECT_NE(compiled(schedule, call).slotCut, program.slotCut);
}

// Steps of one lane on slices of their own: each in chunks of its own, all as often as the slice
// that needs most.
TEST(Program, StepsOnTheirOwnSlices) {
  const Operand from{.space = Space::kFifo, .rank = 0, .channel = 1};
  auto schedule = oneLane(Collective::kAllGather, {move(from, operand(Space::kOutput, 1, 0)),
                                                   move(from, operand(Space::kOutput, 1, 2))});
  schedule.sliceWeights = {1, 3};
  schedule.sliceChunks = {128, 256};
  schedule.lanes[0].slice = -1;
  auto& steps = schedule.lanes[0].steps;
  steps[0].slice = 1;
  steps[1].slice = 0;
  steps[1].slices = 2;
  const Program program = compiled(schedule, floats(Collective::kAllGather, 1024));
  EXPECT_EQ(program.lanes[0].iterations, 12u);  // 3,072 B of slice 1 in chunks of 256 B
  EXPECT_EQ(program.steps[0].chunkBytes, 256u);
  EXPECT_EQ(program.steps[1].chunkBytes, 384u);
  EXPECT_EQ(piecesOf(program, 1)[0].offset, 1024u);
  EXPECT_EQ(piecesOf(program, 1)[0].bytes, 3072u);
  EXPECT_EQ(piecesOf(program, 3)[0].offset, 2 * 4096u);
  EXPECT_EQ(piecesOf(program, 3)[0].bytes, 4096u);
}

// Scratch is as long as the block that it stands for.
TEST(Program, ScratchLikeABlock) {
  const Operand from{.space = Space::kFifo, .rank = 0};
  Operand to{.space = Space::kScratch, .rank = 1, .block = 0};
  for (const int like : {-1, 0, 1}) {
    to.like = like;
    auto schedule = oneLane(Collective::kAllReduce, {move(from, to)}, 2);
    schedule.scratchBlocks = 1;
    // 100 elements: blocks of 32 and 68.
    const Program program = compiled(schedule, floats(Collective::kAllReduce, 100));
    EXPECT_EQ(piecesOf(program, 1)[0].bytes, like == 0 ? 128u : 272u) << like;
  }
}

TEST(Program, RefusesATableOfAnotherSize) {
  const auto steps = {move(operand(Space::kInput, 1), operand(Space::kOutput, 1))};
  const auto schedule = oneLane(Collective::kAllGatherV, steps);
  const Call call = floats(Collective::kAllGatherV, 5);
  EXPECT_FALSE(compile(schedule, call, {{1, 2}, {0, 1}}, kStreaming).isOk());
  EXPECT_FALSE(compile(schedule, call, {{1, 2, 2}, {0, 1}}, kStreaming).isOk());
}

// Every rank decides from the same table whether peers' memory can be used.
TEST(Program, AllRanksExpectTheSameAccesses) {
  constexpr int kSize = 4;
  ir::World world;
  world.ranks.resize(kSize);
  world.reach.assign(kSize * kSize, ir::Reach::kAddress);
  for (const auto collective : {Collective::kAllReduce, Collective::kReduce, Collective::kBroadcast,
                                Collective::kAllGather, Collective::kReduceScatter,
                                Collective::kAllToAll, Collective::kGather, Collective::kScatter}) {
    Call call = floats(collective, 1 << 20);
    call.root = 2;
    const auto plan = plan::plan(world, call, {.algorithm = "direct"});
    ASSERT_TRUE(plan.isOk()) << plan.status().toString();
    std::vector<Program> programs;
    for (int rank = 0; rank < kSize; ++rank) {
      const auto schedule = schedule::lower(*plan, kSize, rank);
      ASSERT_TRUE(schedule.isOk()) << schedule.status().toString();
      programs.push_back(compiled(*schedule, call));
    }
    for (const auto& program : programs) {
      EXPECT_TRUE(program.needsPeerMemory);
      ASSERT_EQ(program.access.size(), size_t{kSize});
      for (int rank = 0; rank < kSize; ++rank) {
        const auto& first = programs[0].accessTo(rank);
        const auto& access = program.accessTo(rank);
        EXPECT_EQ(access.input, first.input) << toString(call);
        EXPECT_EQ(access.output, first.output) << toString(call);
        EXPECT_EQ(access.inputBytes, first.inputBytes) << toString(call);
        EXPECT_EQ(access.outputBytes, first.outputBytes) << toString(call);
      }
    }
  }
}

TEST(Program, SendsAndReceivesMeetUnderOneSignature) {
  const Program send = compiled(
      oneLane(Collective::kSend, {move(operand(Space::kInput, 1), operand(Space::kFifo, 0))}),
      floats(Collective::kSend, 12));
  Call call = floats(Collective::kRecv, 12);
  call.root = 2;  // the peer differs at the two ends
  const Program receive = compiled(
      oneLane(Collective::kRecv, {move(operand(Space::kFifo, 0), operand(Space::kOutput, 1))}),
      call);
  EXPECT_EQ(send.signature, receive.signature);
  EXPECT_FALSE(send.isCollective);
}

}  // namespace
}  // namespace tutti::executor
