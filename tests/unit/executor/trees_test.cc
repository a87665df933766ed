// Trees and forests of any shape over real engines; and what happens to slots that one collective
// cuts in this way and the next in that.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "src/schedule/msccl_xml.h"
#include "tests/unit/executor/ranks.h"

namespace tutti::executor::test {
namespace {

using ir::Call;
using ir::Collective;
using ir::Tree;
using Random = std::mt19937;

// Every rank below one that came before it in a random order.
Tree randomTree(Random& random, int size, ir::Rank root) {
  std::vector<ir::Rank> order;
  for (ir::Rank rank = 0; rank < size; ++rank) {
    if (rank != root) order.push_back(rank);
  }
  std::shuffle(order.begin(), order.end(), random);
  order.insert(order.begin(), root);
  Tree tree{.root = root,
            .weight = 1 + static_cast<int32_t>(random() % 7),
            .parents = std::vector<ir::Rank>(static_cast<size_t>(size), -1)};
  for (size_t at = 1; at < order.size(); ++at) {
    tree.parents[static_cast<size_t>(order[at])] = order[random() % at];
  }
  return tree;
}

ir::Plan randomPlan(Random& random, const Call& call, int size) {
  ir::Plan plan;
  plan.collective = call.collective;
  plan.root = call.root;
  plan.chunkBytes = uint64_t{1024} << (random() % 7);
  const bool isForest =
      call.collective == Collective::kAllGather || call.collective == Collective::kReduceScatter;
  plan.algorithm = isForest ? "forest" : "trees";
  const auto count = static_cast<ir::Rank>(1 + random() % 8);
  for (ir::Rank each = 0; each < (isForest ? size : count); ++each) {
    const auto any = static_cast<ir::Rank>(random() % static_cast<unsigned>(size));
    const ir::Rank root = isForest ? each : ir::hasRoot(call.collective) ? call.root : any;
    plan.trees.push_back(randomTree(random, size, root));
    if (!isForest) continue;
    plan.trees.back().weight = 1 + each % 4;
    plan.trees.push_back(randomTree(random, size, root));
    plan.trees.back().weight = 5 - plan.trees[plan.trees.size() - 2].weight;
  }
  return plan;
}

// What rank's output element i must be.
float resultAt(const Call& call, int rank, int size, uint64_t i) {
  switch (call.collective) {
    case Collective::kBroadcast: return valueOf(call.root, i);
    case Collective::kAllGather: return valueOf(static_cast<int>(i / call.count), i % call.count);
    case Collective::kReduceScatter:
      return sumOf(size, static_cast<uint64_t>(rank) * call.count + i);
    default: return sumOf(size, i);
  }
}

void runPrograms(Ranks& ranks, int rank, const std::shared_ptr<const Programs>& programs,
                 const Call& call) {
  const auto size = static_cast<uint64_t>(ranks.size());
  std::vector<float> input(call.count * (call.collective == Collective::kReduceScatter ? size : 1));
  for (uint64_t i = 0; i < input.size(); ++i) input[i] = valueOf(rank, i);
  std::vector<float> output(call.count * (call.collective == Collective::kAllGather ? size : 1),
                            -1.0F);
  const auto status = ranks.run(rank, programs, input.data(), output.data());
  ASSERT_TRUE(status.isOk()) << status.toString();
  if (call.collective == Collective::kReduce && rank != call.root) return;
  for (uint64_t i = 0; i < output.size(); ++i) {
    ASSERT_EQ(output[i], resultAt(call, rank, ranks.size(), i))
        << programs->main.algorithm << ", rank " << rank << ", element " << i << " of "
        << toString(call);
  }
}

void runPlan(Ranks& ranks, int rank, const ir::Plan& plan, const Call& call) {
  runPrograms(ranks, rank, ranks.programs(plan, call, rank), call);
}

constexpr Collective kTreeCollectives[] = {Collective::kAllReduce, Collective::kReduce,
                                           Collective::kBroadcast, Collective::kAllGather,
                                           Collective::kReduceScatter};

class TreesOfSize : public testing::TestWithParam<int> {};

// Each plan cuts the slots in its own way, so that their cuts follow each other in all orders.
TEST_P(TreesOfSize, AnyTreesOneAfterTheOther) {
  const int size = GetParam();
  Ranks ranks(size);
  ranks.run([&](int rank) {
    Random random(7);
    for (int round = 0; round < 60; ++round) {
      Call call{kTreeCollectives[random() % 5], ir::DataType::kFloat32, ir::RedOp::kSum, 0, 0};
      call.count = 1 + random() % (round % 4 == 0 ? 100000 : 3000);
      call.root = static_cast<ir::Rank>(random() % static_cast<unsigned>(size));
      const ir::Plan plan = randomPlan(random, call, size);
      ASSERT_NO_FATAL_FAILURE(runPlan(ranks, rank, plan, call)) << "round " << round;
    }
  });
}

// Whole slots, cut ones, whole ones again, with messages of the last still on their way.
TEST_P(TreesOfSize, AmongAlgorithmsThatUseWholeSlots) {
  const int size = GetParam();
  Ranks ranks(size);
  ranks.run([&](int rank) {
    Random random(8);
    for (int round = 0; round < 40; ++round) {
      Call call{Collective::kBroadcast, ir::DataType::kFloat32, ir::RedOp::kSum, 0, 0};
      call.count = 1 + random() % 40000;
      call.root = static_cast<ir::Rank>(random() % static_cast<unsigned>(size));
      ir::Plan plan = randomPlan(random, call, size);
      // The root of a broadcast runs ahead of the others.
      if (round % 3 != 0) {
        plan.algorithm = round % 3 == 1 ? "chain" : "double_tree";
        plan.chunkBytes = 65536;
      }
      ASSERT_NO_FATAL_FAILURE(runPlan(ranks, rank, plan, call)) << "round " << round;
    }
  });
}

INSTANTIATE_TEST_SUITE_P(Ranks, TreesOfSize, testing::Values(2, 3, 5, 8));

// Where buffers in place were in vain, all go over to trees.
TEST(Trees, asTheFallback) {
  Ranks ranks(4, {.isOneProcess = false});
  const Call call{Collective::kAllReduce, ir::DataType::kFloat32, ir::RedOp::kSum, 30011, 0};
  Random random(9);
  ir::Plan plan = randomPlan(random, call, 4);
  plan.algorithm = "direct";
  plan.fallbackAlgorithm = "trees";
  plan.fallbackChunkBytes = plan.chunkBytes;
  ranks.run([&](int rank) {
    for (int round = 0; round < 3; ++round) runPlan(ranks, rank, plan, call);
  });
}

// What another wrote: Schedules that come from a file run like any.
TEST(Trees, throughAFileAndBack) {
  Ranks ranks(4);
  Random random(11);
  for (const auto collective : kTreeCollectives) {
    const Call call{collective, ir::DataType::kFloat32, ir::RedOp::kSum, 40001, 3};
    ir::Plan plan = randomPlan(random, call, 4);
    if (collective == Collective::kAllGather || collective == Collective::kReduceScatter) {
      plan.algorithm = collective == Collective::kAllGather ? "bruck" : "halving";
    }
    std::vector<ir::Schedule> schedules;
    for (ir::Rank rank = 0; rank < 4; ++rank) {
      schedules.push_back(schedule::lower(plan, 4, rank).take());
    }
    const auto text = schedule::writeMscclXml(schedules, plan.algorithm);
    ASSERT_TRUE(text.isOk()) << text.status().toString();
    const auto read = schedule::readMscclXml(*text, "it.xml");
    ASSERT_TRUE(read.isOk()) << read.status().toString();
    ranks.run([&](int rank) {
      const auto programs = ranks.programs(read->ranks[static_cast<size_t>(rank)], call);
      for (int round = 0; round < 3; ++round) {
        ASSERT_NO_FATAL_FAILURE(runPrograms(ranks, rank, programs, call)) << toString(call);
      }
    });
  }
}

// Sends and receives have slots of their own.
TEST(Trees, besideSendsAndReceives) {
  Ranks ranks(3);
  ranks.run([&](int rank) {
    Random random(10);
    for (int round = 0; round < 10; ++round) {
      const Call call{Collective::kAllReduce, ir::DataType::kFloat32, ir::RedOp::kSum, 50000, 0};
      const ir::Plan plan = randomPlan(random, call, 3);
      std::vector<float> input(call.count), output(call.count), given(70000), got(70000);
      for (uint64_t i = 0; i < input.size(); ++i) input[i] = valueOf(rank, i);
      for (uint64_t i = 0; i < given.size(); ++i) given[i] = valueOf(rank, i + 5);
      auto& engine = ranks.engine(rank);
      const auto start = [&](std::shared_ptr<const Programs> programs, const float* from,
                             float* to) {
        Request request;
        request.programs = std::move(programs);
        request.input = from;
        request.output = to;
        return Engine::Pending{&engine, engine.start(std::move(request))};
      };
      Call pair{Collective::kSend, ir::DataType::kFloat32, ir::RedOp::kSum, given.size(), 0};
      pair.root = (rank + 1) % 3;
      std::vector<Engine::Pending> pending = {
          start(ranks.programs(pair, rank), given.data(), nullptr),
          start(ranks.programs(plan, call, rank), input.data(), output.data())};
      pair.collective = Collective::kRecv;
      pair.root = (rank + 2) % 3;
      pending.push_back(start(ranks.programs(pair, rank), nullptr, got.data()));
      ASSERT_TRUE(Engine::waitAll(pending).isOk());
      for (uint64_t i = 0; i < output.size(); ++i) ASSERT_EQ(output[i], sumOf(3, i));
      for (uint64_t i = 0; i < got.size(); ++i) ASSERT_EQ(got[i], valueOf(pair.root, i + 5));
    }
  });
}

}  // namespace
}  // namespace tutti::executor::test
