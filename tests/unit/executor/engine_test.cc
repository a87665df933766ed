// Operations that end well: every algorithm of every collective with 2 to 5 ranks, what runs where
// peers' memory cannot be reached, order, several engines of one thread.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/unit/executor/ranks.h"

namespace tutti::executor::test {
namespace {

using ir::Call;
using ir::Collective;
using ir::DataType;
using ir::RedOp;

// Elements of a rank's input and output.
uint64_t inputCount(const Call& call, int size) {
  const bool isRow = call.collective == Collective::kReduceScatter ||
                     call.collective == Collective::kAllToAll ||
                     call.collective == Collective::kScatter;
  return call.count * (isRow ? static_cast<uint64_t>(size) : 1);
}

uint64_t outputCount(const Call& call, int size) {
  const bool isRow = call.collective == Collective::kAllGather ||
                     call.collective == Collective::kAllToAll ||
                     call.collective == Collective::kGather;
  return call.count * (isRow ? static_cast<uint64_t>(size) : 1);
}

bool hasOutput(const Call& call, int rank) {
  const bool isToRoot =
      call.collective == Collective::kReduce || call.collective == Collective::kGather;
  return !isToRoot || rank == call.root;
}

float expected(const Call& call, int rank, int size, uint64_t i) {
  const uint64_t block = i / call.count;
  const uint64_t within = i % call.count;
  const auto own = static_cast<uint64_t>(rank) * call.count;
  switch (call.collective) {
    case Collective::kAllReduce:
    case Collective::kReduce: return sumOf(size, i);
    case Collective::kBroadcast: return valueOf(call.root, i);
    case Collective::kAllGather:
    case Collective::kGather: return valueOf(static_cast<int>(block), within);
    case Collective::kReduceScatter: return sumOf(size, own + i);
    case Collective::kAllToAll: return valueOf(static_cast<int>(block), own + within);
    case Collective::kScatter: return valueOf(call.root, own + i);
    default: return 0;
  }
}

// One rank's buffers, from malloc or from the device.
class Buffers {
 public:
  Buffers(device::Device& device, const Call& call, int rank, int size, bool isShared)
      : device_(device), isShared_(isShared) {
    input = allocate(inputCount(call, size));
    output = allocate(outputCount(call, size));
    for (uint64_t i = 0; i < inputCount(call, size); ++i) input[i] = valueOf(rank, i);
    std::fill_n(output, outputCount(call, size), -1.0F);
  }
  ~Buffers() {
    for (float* each : {input, output}) {
      if (isShared_) {
        EXPECT_TRUE(each == nullptr || device_.memory().release(each).isOk());
      } else {
        delete[] each;
      }
    }
  }
  Buffers(const Buffers&) = delete;
  Buffers& operator=(const Buffers&) = delete;

  float* input;
  float* output;

 private:
  float* allocate(uint64_t count) {
    if (!isShared_) return new float[count];
    return static_cast<float*>(device_.memory().allocate(count * sizeof(float)).take());
  }
  device::Device& device_;
  bool isShared_;
};

void runAndCheck(Ranks& ranks, const Call& call, const std::string& algorithm, bool isShared) {
  ranks.run([&](int rank) {
    const Buffers buffers(ranks.device(), call, rank, ranks.size(), isShared);
    const auto status = ranks.call(rank, call, buffers.input, buffers.output, algorithm);
    ASSERT_TRUE(status.isOk()) << status.toString();
    if (!hasOutput(call, rank)) return;
    for (uint64_t i = 0; i < outputCount(call, ranks.size()); ++i) {
      ASSERT_EQ(buffers.output[i], expected(call, rank, ranks.size(), i))
          << algorithm << ", rank " << rank << ", element " << i << " of " << toString(call);
    }
  });
}

const Collective kCollectives[] = {Collective::kAllReduce,     Collective::kReduce,
                                   Collective::kBroadcast,     Collective::kAllGather,
                                   Collective::kReduceScatter, Collective::kAllToAll,
                                   Collective::kGather,        Collective::kScatter};

class EverySize : public testing::TestWithParam<int> {};

TEST_P(EverySize, EveryAlgorithmGivesTheRightData) {
  const int size = GetParam();
  Ranks ranks(size);
  for (const auto collective : kCollectives) {
    for (const uint64_t count : {uint64_t{1}, uint64_t{1000}, uint64_t{20011}}) {
      const Call call{collective, DataType::kFloat32, RedOp::kSum, count, size - 1};
      for (const auto& candidate : plan::candidates(ranks.world(), call)) {
        if (!candidate.isUsable) continue;
        runAndCheck(ranks, call, std::string(candidate.algorithm), false);
        if (HasFatalFailure()) return;
      }
    }
  }
}

// Peers' buffers are reached only where the device shares them: the in-place algorithms map those,
// and go over to their fallback for others, on all ranks alike.
TEST_P(EverySize, UnreachableBuffersTakeTheFallback) {
  const int size = GetParam();
  Ranks ranks(size, {.isOneProcess = false});
  for (const auto collective : kCollectives) {
    const Call call{collective, DataType::kFloat32, RedOp::kSum, 30011, 0};
    for (const auto& candidate : plan::candidates(ranks.world(), call)) {
      if (!candidate.isUsable) continue;
      runAndCheck(ranks, call, std::string(candidate.algorithm), false);
      runAndCheck(ranks, call, std::string(candidate.algorithm), true);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(EverySize, OneRanksPrivateBufferSendsAllToTheFallback) {
  const int size = GetParam();
  Ranks ranks(size, {.isOneProcess = false});
  const Call call{Collective::kAllReduce, DataType::kFloat32, RedOp::kSum, 20000, 0};
  for (int odd = 0; odd < size; ++odd) {
    ranks.run([&](int rank) {
      const Buffers buffers(ranks.device(), call, rank, size, rank != odd);
      const auto status = ranks.call(rank, call, buffers.input, buffers.output, "direct");
      ASSERT_TRUE(status.isOk()) << status.toString();
      for (uint64_t i = 0; i < call.count; ++i) ASSERT_EQ(buffers.output[i], sumOf(size, i));
    });
  }
}

TEST_P(EverySize, InPlaceAndManyOperationsInARow) {
  const int size = GetParam();
  Ranks ranks(size);
  ranks.run([&](int rank) {
    for (uint64_t turn = 0; turn < 300; ++turn) {
      const uint64_t count = 1 + turn * 37 % 2000;
      const Call call{Collective::kAllReduce, DataType::kFloat32, RedOp::kSum, count, 0};
      std::vector<float> values(count);
      for (uint64_t i = 0; i < count; ++i) values[i] = valueOf(rank, i + turn);
      const auto status = ranks.call(rank, call, values.data(), values.data());
      ASSERT_TRUE(status.isOk()) << status.toString();
      for (uint64_t i = 0; i < count; ++i) ASSERT_EQ(values[i], sumOf(size, i + turn));
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, EverySize, testing::Values(2, 3, 4, 5));

TEST(Engine, OneRankCopies) {
  Ranks ranks(1);
  for (const auto collective : kCollectives) {
    runAndCheck(ranks, {collective, DataType::kFloat32, RedOp::kSum, 777, 0}, "", false);
  }
}

TEST(Engine, IntegerAveragesDivideOnce) {
  Ranks ranks(3);
  ranks.run([&](int rank) {
    const int values[] = {rank, -7 - rank, 100};
    int results[3] = {};
    const Call call{Collective::kAllReduce, DataType::kInt32, RedOp::kAvg, 3, 0};
    ASSERT_TRUE(ranks.call(rank, call, values, results).isOk());
    EXPECT_EQ(results[0], 1);
    EXPECT_EQ(results[1], -8);
    EXPECT_EQ(results[2], 100);
  });
}

// A factor belongs to a rank's contribution, whoever reads it.
TEST(Engine, FactorsScaleTheirOwnRanksContribution) {
  Ranks ranks(4);
  for (const char* algorithm : {"one_shot", "direct", "ring", "recursive_doubling"}) {
    ranks.run([&](int rank) {
      const Call call{Collective::kAllReduce, DataType::kFloat32, RedOp::kPreMulSum, 500, 0};
      std::vector<float> values(500, 1.0F);
      Request request;
      request.programs = ranks.programs(call, rank, algorithm);
      request.input = request.output = values.data();
      const auto factor = static_cast<float>(rank + 1);
      std::memcpy(&request.factor.bits, &factor, sizeof(factor));
      request.factor.isSet = true;
      auto& engine = ranks.engine(rank);
      ASSERT_TRUE(engine.wait(engine.start(std::move(request))).isOk());
      for (const float value : values) ASSERT_EQ(value, 10.0F) << algorithm;
    });
  }
}

// The last rank has as many elements as all others together, at places of its own choosing.
TEST(Engine, BlockTablesPlaceBlocks) {
  constexpr int kSize = 3;
  Ranks ranks(kSize);
  const BlockTable table{{5, 1, 6000}, {10, 2, 20}};
  ranks.run([&](int rank) {
    const Call call{Collective::kAllGatherV, DataType::kFloat32, RedOp::kSum, 6006, 0};
    const auto own = table.counts[static_cast<size_t>(rank)];
    std::vector<float> input(own);
    for (uint64_t i = 0; i < own; ++i) input[i] = valueOf(rank, i);
    std::vector<float> output(6020, -1);
    Request request;
    request.programs = ranks.programs(call, rank, "", table);
    request.input = input.data();
    request.output = output.data();
    auto& engine = ranks.engine(rank);
    ASSERT_TRUE(engine.wait(engine.start(std::move(request))).isOk());
    for (int r = 0; r < kSize; ++r) {
      for (uint64_t i = 0; i < table.counts[static_cast<size_t>(r)]; ++i) {
        ASSERT_EQ(output[table.displs[static_cast<size_t>(r)] + i], valueOf(r, i));
      }
    }
    EXPECT_EQ(output[0], -1) << "what no block covers is left alone";
    EXPECT_EQ(output[3], -1);
  });
}

// One thread holds all ranks, as inside a group.
TEST(Engine, OneThreadDrivesSeveralEngines) {
  constexpr int kSize = 5;
  Ranks ranks(kSize);
  for (const uint64_t count : {uint64_t{3}, uint64_t{100000}}) {
    for (const char* algorithm : {"", "ring", "direct", "double_tree"}) {
      const Call call{Collective::kAllReduce, DataType::kFloat32, RedOp::kSum, count, 0};
      std::vector<std::vector<float>> values(kSize, std::vector<float>(count));
      std::vector<Engine::Pending> pending;
      for (int rank = 0; rank < kSize; ++rank) {
        auto& mine = values[static_cast<size_t>(rank)];
        for (uint64_t i = 0; i < count; ++i) mine[i] = valueOf(rank, i);
        Request request;
        request.programs = ranks.programs(call, rank, algorithm);
        request.input = request.output = mine.data();
        auto& engine = ranks.engine(rank);
        pending.push_back({&engine, engine.start(std::move(request))});
      }
      const auto status = Engine::waitAll(pending);
      ASSERT_TRUE(status.isOk()) << status.toString();
      for (const auto& mine : values) {
        for (uint64_t i = 0; i < count; ++i) ASSERT_EQ(mine[i], sumOf(kSize, i));
      }
    }
  }
}

// Messages of one pair keep their order, whatever their length, and run beside collectives.
TEST(Engine, SendsAndReceivesMatchInOrder) {
  Ranks ranks(2);
  const uint64_t counts[] = {1, 100000, 17, 64 << 10, 3};
  ranks.run([&](int rank) {
    auto& engine = ranks.engine(rank);
    std::vector<std::vector<float>> out;
    std::vector<std::vector<float>> in;
    for (const uint64_t count : counts) {
      out.emplace_back(count, static_cast<float>(count + static_cast<uint64_t>(rank)));
      in.emplace_back(count, -1);
    }
    std::vector<Engine::Pending> pending;
    for (size_t i = 0; i < std::size(counts); ++i) {
      for (const auto collective : {Collective::kRecv, Collective::kSend}) {
        Request request;
        request.programs = ranks.programs(
            {collective, DataType::kFloat32, RedOp::kSum, counts[i], 1 - rank}, rank);
        request.input = out[i].data();
        request.output = in[i].data();
        pending.push_back({&engine, engine.start(std::move(request))});
      }
    }
    ASSERT_TRUE(Engine::waitAll(pending).isOk());
    for (size_t i = 0; i < std::size(counts); ++i) {
      const auto theirs = static_cast<float>(counts[i] + static_cast<uint64_t>(1 - rank));
      EXPECT_EQ(std::count(in[i].begin(), in[i].end(), theirs), static_cast<long>(counts[i]));
    }
  });
}

// More ranks than one kernel call takes operands.
TEST(Engine, ReducesMoreSourcesThanOneKernelTakes) {
  constexpr int kSize = device::kMaxReduceOperands * 2 + 3;
  Ranks ranks(kSize);
  for (const char* algorithm : {"one_shot", "direct"}) {
    const Call call{Collective::kAllReduce, DataType::kFloat32, RedOp::kSum, 40, 0};
    ranks.run([&](int rank) {
      std::vector<float> values(call.count);
      for (uint64_t i = 0; i < call.count; ++i) values[i] = valueOf(rank, i);
      const auto status = ranks.call(rank, call, values.data(), values.data(), algorithm);
      ASSERT_TRUE(status.isOk()) << status.toString();
      for (uint64_t i = 0; i < call.count; ++i) ASSERT_EQ(values[i], sumOf(kSize, i));
    });
  }
}

}  // namespace
}  // namespace tutti::executor::test
