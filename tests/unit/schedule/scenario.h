// One collective of some ranks, lowered for all of them: what the tests of this folder ask about.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "src/ir/call.h"
#include "src/ir/plan.h"
#include "src/ir/schedule.h"
#include "src/schedule/lower.h"
#include "src/schedule/validate.h"

namespace tutti::schedule {

// A collective and a template that makes its Schedules.
struct TemplateCase {
  ir::Collective collective;
  std::string algorithm;
};

// All that `size` ranks can run.
inline std::vector<TemplateCase> allTemplates(int size) {
  std::vector<TemplateCase> cases;
  for (int value = 0; value < ir::kCollectiveCount; ++value) {
    const auto collective = static_cast<ir::Collective>(value);
    if (collective == ir::Collective::kSend || collective == ir::Collective::kRecv) continue;
    for (const std::string_view algorithm : loweredAlgorithms(collective, size)) {
      cases.push_back({collective, std::string(algorithm)});
    }
  }
  return cases;
}

inline std::string templateName(const testing::TestParamInfo<TemplateCase>& info) {
  return std::string(ir::name(info.param.collective)) + "_" + info.param.algorithm;
}

struct Scenario {
  ir::Call call;
  ir::Plan plan;
  int size = 1;
  std::vector<uint64_t> counts;  // V forms
};

inline bool isVectorCollective(ir::Collective collective) {
  return collective == ir::Collective::kAllReduce || collective == ir::Collective::kReduce ||
         collective == ir::Collective::kBroadcast;
}

inline bool isUnevenCollective(ir::Collective collective) {
  return collective == ir::Collective::kAllGatherV || collective == ir::Collective::kReduceScatterV;
}

// A scenario whose blocks are covered in about `iterations` chunks of `chunkBytes`; lengths are
// odd.
inline Scenario makeScenario(ir::Collective collective, std::string_view algorithm, int size,
                             ir::Rank root, uint64_t iterations, uint64_t chunkBytes = 128) {
  Scenario scenario;
  scenario.size = size;
  scenario.call.collective = collective;
  scenario.call.root = root;
  scenario.plan.collective = collective;
  scenario.plan.root = root;
  scenario.plan.algorithm = algorithm;
  scenario.plan.chunkBytes = chunkBytes;
  const uint64_t block = iterations * chunkBytes / sizeOf(scenario.call.type) - 3;
  scenario.call.count =
      isVectorCollective(collective) ? block * static_cast<uint64_t>(size) : block;
  if (isUnevenCollective(collective)) {
    scenario.call.count = 0;
    for (int rank = 0; rank < size; ++rank) {
      // Some ranks give nothing; the longest block needs all iterations.
      scenario.counts.push_back(block * static_cast<uint64_t>((rank + 1) % 4) / 3);
      scenario.call.count += scenario.counts.back();
    }
  }
  return scenario;
}

inline std::vector<ir::Schedule> lowerAll(const Scenario& scenario) {
  std::vector<ir::Schedule> schedules;
  for (ir::Rank rank = 0; rank < scenario.size; ++rank) {
    auto schedule = lower(scenario.plan, scenario.size, rank);
    EXPECT_TRUE(schedule.isOk()) << schedule.status().toString();
    if (schedule.isOk()) schedules.push_back(std::move(*schedule));
  }
  return schedules;
}

inline base::Status validateScenario(const Scenario& scenario, std::vector<bool> isInPlace = {},
                                     int interleavings = 3) {
  ValidateOptions options;
  options.isInPlace = std::move(isInPlace);
  options.counts = scenario.counts;
  options.interleavings = interleavings;
  return validate(lowerAll(scenario), scenario.call, options);
}

}  // namespace tutti::schedule
