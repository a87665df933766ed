// What patterns are said to send is what the Schedules send.
#include "src/plan/traffic.h"

#include <gtest/gtest.h>

#include <map>
#include <numeric>
#include <set>
#include <tuple>
#include <utility>

#include "src/base/errors.h"
#include "src/ir/plan.h"
#include "src/plan/bound.h"
#include "src/schedule/lower.h"
#include "tests/support/fabrics.h"
#include "tests/unit/plan/print.h"

namespace tutti::plan {
namespace {

using ir::Collective;
using ir::Rank;
using Pairs = std::map<std::pair<Rank, Rank>, Rational>;

std::vector<Rank> inOrder(int size, int first = 0) {
  std::vector<Rank> order(static_cast<size_t>(size));
  std::iota(order.begin(), order.end(), 0);
  std::rotate(order.begin(), order.begin() + first, order.end());
  return order;
}

Pairs sharesOf(const Traffic& traffic) {
  std::map<std::pair<Rank, Rank>, int64_t> sent;
  std::set<std::tuple<int32_t, Rank, Rank>> seen;
  for (const Message& each : traffic.messages) {
    EXPECT_TRUE(seen.emplace(each.phase, each.from, each.to).second);
    sent[{each.from, each.to}] += each.share;
  }
  Pairs pairs;
  for (const auto& [pair, share] : sent) pairs[pair] = makeRational(share, traffic.shares);
  return pairs;
}

int blocksOf(const ir::Step& step) {
  int blocks = 0;
  for (const auto* operands : {&step.sources, &step.destinations}) {
    for (const ir::Operand& operand : *operands) {
      if (operand.space != ir::Space::kFifo) blocks = std::max(blocks, operand.blocks);
    }
  }
  return blocks;
}

// Blocks that the Schedules of all ranks put into FIFOs, as shares of the vector.
Pairs sharesOf(const ir::Plan& plan, int size) {
  std::map<std::pair<Rank, Rank>, int64_t> sent;
  int64_t blocks = size;
  for (Rank rank = 0; rank < size; ++rank) {
    const auto schedule = schedule::lower(plan, size, rank);
    EXPECT_TRUE(schedule.isOk()) << schedule.status().toString();
    for (const ir::Lane& lane : schedule->lanes) {
      const bool isOneVector = plan.collective == Collective::kAllReduce ||
                               plan.collective == Collective::kReduce ||
                               plan.collective == Collective::kBroadcast;
      if (isOneVector) blocks = lane.blocks;
      for (const ir::Step& step : lane.steps) {
        for (const ir::Operand& to : step.destinations) {
          if (to.space == ir::Space::kFifo) sent[{rank, to.rank}] += blocksOf(step);
        }
      }
    }
  }
  Pairs pairs;
  for (const auto& [pair, count] : sent) pairs[pair] = makeRational(count, blocks);
  return pairs;
}

const std::vector<Collective> kCollectives = {Collective::kAllReduce,     Collective::kReduce,
                                              Collective::kBroadcast,     Collective::kAllGather,
                                              Collective::kReduceScatter, Collective::kAllToAll,
                                              Collective::kGather,        Collective::kScatter};

TEST(Traffic, IsWhatSchedulesSend) {
  for (const Collective collective : kCollectives) {
    for (const std::string_view algorithm : patternsOf(collective)) {
      for (const int size : {2, 3, 4, 5, 7, 8, 13, 16}) {
        const Rank root = size > 2 ? 1 : 0;
        const bool hasRoot =
            collective == Collective::kReduce || collective == Collective::kBroadcast ||
            collective == Collective::kGather || collective == Collective::kScatter;
        const auto traffic = trafficOf(collective, algorithm, inOrder(size, hasRoot ? root : 0));
        if (!traffic.isOk()) {
          EXPECT_EQ(traffic.status().errorId(), base::kErrUnsupported);
          EXPECT_NE(size & (size - 1), 0);
          continue;
        }
        ir::Plan plan{.collective = collective,
                      .root = hasRoot ? root : 0,
                      .algorithm = std::string(algorithm)};
        plan.chunkBytes = 0;
        EXPECT_EQ(sharesOf(*traffic), sharesOf(plan, size))
            << ir::name(collective) << " " << algorithm << " among " << size;
      }
    }
  }
}

TEST(Traffic, FollowsTheOrder) {
  const auto traffic = trafficOf(Collective::kAllGather, "ring", {2, 0, 1});
  ASSERT_TRUE(traffic.isOk());
  const std::vector<Message> expected = {{0, 1, 2, 0}, {1, 2, 2, 0}, {2, 0, 2, 0}};
  EXPECT_EQ(traffic->messages, expected);
  EXPECT_EQ(traffic->shares, 3);
  EXPECT_EQ(traffic->steps, 2);
  EXPECT_EQ(traffic->posts, 1);
}

TEST(Traffic, OfOneRankIsNone) {
  for (const std::string_view algorithm : patternsOf(Collective::kAllReduce)) {
    const auto traffic = trafficOf(Collective::kAllReduce, algorithm, {0});
    ASSERT_TRUE(traffic.isOk());
    EXPECT_TRUE(traffic->messages.empty());
  }
}

TEST(Traffic, NamesWhatThereIs) {
  const auto traffic = trafficOf(Collective::kAllGather, "quantum", {0, 1});
  ASSERT_FALSE(traffic.isOk());
  EXPECT_NE(traffic.status().text().find("bruck"), std::string_view::npos);
}

TEST(Traffic, LoadsLinksAndResources) {
  topology::Topology star = tests::star({100, 100, 100, 50});
  star.resources.push_back({"bus", 1000, {{0, 1}, {1, 2}}});
  auto routes = topology::RouteTable::make(star);
  ASSERT_TRUE(routes.isOk());
  const auto traffic = trafficOf(Collective::kAllGather, "exchange", inOrder(4));
  ASSERT_TRUE(traffic.isOk());
  const auto load = loadOf(star, *routes, *traffic);
  ASSERT_TRUE(load.isOk());
  EXPECT_EQ(load->all.total, 4);
  EXPECT_EQ(load->all.links, std::vector<int64_t>(8, 3));
  EXPECT_EQ(load->all.resources, std::vector<int64_t>{9});
  EXPECT_EQ(rateOf(star, load->all), makeRational(50 * 4, 3));
}

}  // namespace
}  // namespace tutti::plan
