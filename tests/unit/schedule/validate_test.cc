// Planted mistakes: whatever is taken from, added to or changed in a right Schedule, the validator
// says so.
#include <functional>

#include "tests/unit/schedule/scenario.h"

namespace tutti::schedule {
namespace {

using ir::Collective;
using ir::Limits;
using ir::Operand;
using ir::Schedule;
using ir::Space;
using ir::Step;
using ir::StepKind;

bool isBlock(const Operand& operand) {
  return operand.space != Space::kFifo && operand.space != Space::kBoard;
}

bool hasFifo(const Step& step) {
  const auto isFifo = [](const Operand& operand) { return operand.space == Space::kFifo; };
  return std::any_of(step.sources.begin(), step.sources.end(), isFifo) ||
         std::any_of(step.destinations.begin(), step.destinations.end(), isFifo);
}

class Mistakes : public testing::TestWithParam<TemplateCase> {
 protected:
  using Change = std::function<void(ir::Lane&, size_t, const Schedule&)>;

  void SetUp() override {
    for (const int size : {4, 5}) {
      const auto names = loweredAlgorithms(GetParam().collective, size);
      if (std::find(names.begin(), names.end(), GetParam().algorithm) == names.end()) continue;
      const bool isOneShot = GetParam().algorithm == "one_shot";
      Scenario scenario =
          makeScenario(GetParam().collective, GetParam().algorithm, size,
                       ir::hasRoot(GetParam().collective) ? 1 : 0, isOneShot ? 1 : 3);
      // All blocks matter: the V forms' blocks that are empty would hide mistakes.
      for (uint64_t& count : scenario.counts) count += 40;
      if (!scenario.counts.empty()) scenario.call.count += 40 * static_cast<uint64_t>(size);
      scenario.plan.usesBoard = isOneShot;
      scenarios_.push_back(scenario);
    }
  }

  static base::Status check(const Scenario& scenario, const std::vector<Schedule>& schedules) {
    ValidateOptions options;
    options.counts = scenario.counts;
    options.interleavings = 2;
    return validate(schedules, scenario.call, options);
  }

  // Applies the change to each step that `isMeant`, one at a time; each must be found.
  void expectFound(const std::function<bool(const Step&)>& isMeant, const Change& change) {
    for (const Scenario& scenario : scenarios_) {
      const auto right = lowerAll(scenario);
      ASSERT_TRUE(check(scenario, right).isOk()) << check(scenario, right).toString();
      for (size_t rank = 0; rank < right.size(); ++rank) {
        for (size_t lane = 0; lane < right[rank].lanes.size(); ++lane) {
          for (size_t step = 0; step < right[rank].lanes[lane].steps.size(); ++step) {
            if (!isMeant(right[rank].lanes[lane].steps[step])) continue;
            auto changed = right;
            change(changed[rank].lanes[lane], step, right[rank]);
            const auto status = check(scenario, changed);
            EXPECT_FALSE(status.isOk())
                << "not found: " << rank << "." << lane << "." << step << "\n"
                << ir::toString(changed[rank]);
            EXPECT_EQ(status.isOk(), status.text().empty());
          }
        }
      }
    }
  }

  std::vector<Scenario> scenarios_;
};

bool isAny(const Step&) { return true; }

TEST_P(Mistakes, droppedStepIsFound) {
  expectFound(isAny, [](ir::Lane& lane, size_t step, const Schedule&) {
    lane.steps.erase(lane.steps.begin() + static_cast<std::ptrdiff_t>(step));
  });
}

TEST_P(Mistakes, repeatedStepIsFound) {
  // A second local copy, wait or attach does no harm.
  const auto isMeant = [](const Step& step) {
    return hasFifo(step) || step.kind == StepKind::kExpose || step.kind == StepKind::kSignal;
  };
  expectFound(isMeant, [](ir::Lane& lane, size_t step, const Schedule&) {
    const Step copy = lane.steps[step];
    lane.steps.insert(lane.steps.begin() + static_cast<std::ptrdiff_t>(step), copy);
  });
}

TEST_P(Mistakes, wrongBlockIsFound) {
  for (const bool isSource : {true, false}) {
    const auto operandsOf = [isSource](Step& step) -> std::vector<Operand>& {
      return isSource ? step.sources : step.destinations;
    };
    // One more block than there is, or another one.
    for (const int shift : {1, -1}) {
      expectFound(
          [&](const Step& step) {
            Step copy = step;
            const auto& operands = operandsOf(copy);
            return std::any_of(operands.begin(), operands.end(), isBlock);
          },
          [&](ir::Lane& lane, size_t step, const Schedule&) {
            for (Operand& operand : operandsOf(lane.steps[step])) {
              if (!isBlock(operand)) continue;
              operand.block += shift;
              return;
            }
          });
    }
  }
}

TEST_P(Mistakes, wrongPeerIsFound) {
  for (const bool isSource : {true, false}) {
    for (int shift = 1; shift < 3; ++shift) {
      expectFound(hasFifo, [&](ir::Lane& lane, size_t step, const Schedule&) {
        Step& changed = lane.steps[step];
        for (auto* operands : {isSource ? &changed.sources : &changed.destinations,
                               isSource ? &changed.destinations : &changed.sources}) {
          for (Operand& operand : *operands) {
            if (operand.space != Space::kFifo) continue;
            operand.rank = (operand.rank + shift) % 4;
            return;
          }
        }
      });
    }
  }
}

TEST_P(Mistakes, wrongFinalIsFound) {
  const auto isData = [](const Step& step) {
    return step.kind == StepKind::kMove || step.kind == StepKind::kReduce;
  };
  expectFound(isData, [](ir::Lane& lane, size_t step, const Schedule&) {
    lane.steps[step].isFinal = !lane.steps[step].isFinal;
  });
}

TEST_P(Mistakes, missingPeerIsFound) {
  const auto isMeant = [](const Step& step) { return !step.peers.empty(); };
  for (const bool isFirst : {true, false}) {
    expectFound(isMeant, [&](ir::Lane& lane, size_t step, const Schedule& schedule) {
      auto& peers = lane.steps[step].peers;
      if (peers[0] == ir::kEveryone) {
        peers.clear();
        for (ir::Rank rank = 0; rank < schedule.size; ++rank) {
          if (rank != schedule.rank) peers.push_back(rank);
        }
      }
      peers.erase(isFirst ? peers.begin() : peers.end() - 1);
    });
  }
}

TEST_P(Mistakes, otherChunksAreFound) {
  for (const Scenario& scenario : scenarios_) {
    const auto right = lowerAll(scenario);
    if (right[0].needsPeerMemory || scenario.plan.usesBoard) continue;
    for (size_t rank = 0; rank < right.size(); ++rank) {
      for (size_t lane = 0; lane < right[rank].lanes.size(); ++lane) {
        auto changed = right;
        if (changed[rank].lanes[lane].slice >= 0) {
          changed[rank].lanes[lane].chunkBytes *= 2;
        } else {
          changed[rank].sliceChunks[0] *= 2;
        }
        EXPECT_FALSE(check(scenario, changed).isOk()) << ir::toString(changed[rank]);
      }
    }
  }
}

TEST_P(Mistakes, messagesOverTheSlotAreFound) {
  for (Scenario scenario : scenarios_) {
    scenario.plan.chunkBytes = 2 * Limits::kFifoSlotBytes;
    scenario.call.count = 8 * Limits::kFifoSlotBytes;
    if (!scenario.counts.empty()) {
      const auto size = static_cast<uint64_t>(scenario.size);
      scenario.call.count *= size;
      for (uint64_t& count : scenario.counts) count = scenario.call.count / size;
    }
    const auto schedules = lowerAll(scenario);
    if (schedules[0].needsPeerMemory) continue;
    EXPECT_FALSE(check(scenario, schedules).isOk());
  }
}

INSTANTIATE_TEST_SUITE_P(All, Mistakes, testing::ValuesIn(allTemplates(4)), templateName);

// ---- single mistakes --------------------------------------------------------------------------

// What the validator says about `scenario` after `change`.
std::string complaint(const Scenario& scenario,
                      const std::function<void(std::vector<Schedule>&)>& change,
                      std::vector<bool> isInPlace = {}) {
  auto schedules = lowerAll(scenario);
  change(schedules);
  ValidateOptions options;
  options.isInPlace = std::move(isInPlace);
  const auto status = validate(schedules, scenario.call, options);
  return std::string(status.text());
}

void nothing(std::vector<Schedule>&) {}

testing::AssertionResult contains(const std::string& text, std::string_view part) {
  if (text.find(part) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << '"' << text << "\" does not say \"" << part << '"';
}

TEST(Mistake, operandsInAnotherOrderOnOneRank) {
  const auto scenario = makeScenario(Collective::kAllReduce, "one_shot", 4, 0, 1);
  const std::string text = complaint(scenario, [](auto& ranks) {
    auto& sources = ranks[2].lanes[0].steps[1].sources;
    std::swap(sources[1], sources[3]);
  });
  EXPECT_TRUE(contains(text, "different orders"));
  // The first two may change places: a + b and b + a are the same bits.
  EXPECT_EQ(complaint(scenario,
                      [](auto& ranks) {
                        auto& sources = ranks[2].lanes[0].steps[1].sources;
                        std::swap(sources[0], sources[1]);
                      }),
            "");
}

TEST(Mistake, returningBeforeThePeersAreDone) {
  const auto scenario = makeScenario(Collective::kBroadcast, "direct", 4, 1, 1);
  const std::string text = complaint(scenario, [](auto& ranks) {
    ranks[1].lanes[0].steps.back().peers = {0, 2};
  });
  EXPECT_TRUE(contains(text, "rank 1 may return while rank 3"));
}

TEST(Mistake, signallingBeforeTheLastAccess) {
  const auto scenario = makeScenario(Collective::kAllReduce, "direct", 4, 0, 1);
  const std::string text = complaint(scenario, [](auto& ranks) {
    auto& steps = ranks[2].lanes[0].steps;
    std::swap(steps[2], steps[3]);
  });
  EXPECT_TRUE(contains(text, "may return while rank 2"));
}

TEST(Mistake, touchingMemoryWithoutAttaching) {
  const auto scenario = makeScenario(Collective::kReduceScatter, "direct", 4, 0, 1);
  const std::string text = complaint(scenario, [](auto& ranks) {
    auto& steps = ranks[2].lanes[0].steps;
    std::swap(steps[1], steps[2]);
  });
  EXPECT_TRUE(contains(text, "without having attached"));
}

TEST(Mistake, allToAllDirectInPlace) {
  const auto scenario = makeScenario(Collective::kAllToAll, "direct", 4, 0, 1);
  EXPECT_EQ(complaint(scenario, nothing), "");
  EXPECT_NE(complaint(scenario, nothing, {false, true, false, false}), "");
}

TEST(Mistake, missingOrderBetweenLanes) {
  const auto scenario = makeScenario(Collective::kAllToAll, "exchange", 4, 0, 3);
  const auto change = [](auto& ranks) { ranks[3].lanes[1].steps[0].afterLane = -1; };
  EXPECT_EQ(complaint(scenario, change), "");  // harmless out of place
  EXPECT_TRUE(contains(complaint(scenario, change, {true, true, true, true}), "at the same time"));
}

TEST(Mistake, circleOfWaiting) {
  const auto scenario = makeScenario(Collective::kAllReduce, "recursive_doubling", 4, 0, 1);
  const std::string text = complaint(scenario, [](auto& ranks) {
    for (auto& schedule : ranks) {
      std::swap(schedule.lanes[0].steps[0], schedule.lanes[0].steps[1]);
    }
  });
  EXPECT_TRUE(contains(text, "waits for ever for a message from rank"));
}

TEST(Mistake, moreMessagesThanSlots) {
  // Both of two ranks send all their chunks before they receive any.
  for (const int messages : {Limits::kFifoSlots, Limits::kFifoSlots + 1}) {
    auto scenario = makeScenario(Collective::kAllToAll, "exchange", 2, 0, 1);
    const std::string text = complaint(scenario, [&](auto& ranks) {
      for (auto& schedule : ranks) {
        const ir::Lane send = schedule.lanes[0];
        const ir::Lane receive = schedule.lanes[1];
        ir::Lane& lane = schedule.lanes[0];
        schedule.lanes.pop_back();
        lane.steps.clear();
        for (int each = 0; each < messages; ++each) lane.steps.push_back(send.steps[0]);
        for (int each = 0; each < messages; ++each) {
          lane.steps.push_back(receive.steps[0]);
          lane.steps.back().afterLane = -1;
        }
        lane.steps.push_back(send.steps[1]);
      }
    });
    if (messages <= Limits::kFifoSlots) {
      EXPECT_EQ(text, "");
    } else {
      EXPECT_TRUE(contains(text, "waits for ever for a free slot"));
    }
  }
}

TEST(Mistake, leftoverMessage) {
  const auto scenario = makeScenario(Collective::kBroadcast, "chain", 3, 0, 1);
  const std::string text = complaint(scenario, [](auto& ranks) {
    auto& steps = ranks[0].lanes[0].steps;
    steps.push_back(steps[0]);
    steps.back().destinations = {steps[0].destinations[0]};
    steps.back().destinations[0].rank = 2;
    steps.back().destinations[0].channel = 1;
  });
  EXPECT_TRUE(contains(text, "from rank 0 to rank 2 on channel 1 are left over"));
}

TEST(Mistake, sharedFifo) {
  const auto scenario = makeScenario(Collective::kAllReduce, "two_shot", 3, 0, 2);
  const std::string text = complaint(scenario, [](auto& ranks) { ranks[1].lanes[2].channel = 0; });
  EXPECT_TRUE(contains(text, "of another lane"));
}

TEST(Mistake, scratchReadBeforeItIsWritten) {
  const auto scenario = makeScenario(Collective::kScatter, "binomial", 4, 0, 3);
  const std::string text = complaint(scenario, [](auto& ranks) {
    auto& steps = ranks[2].lanes[0].steps;
    steps.insert(steps.begin(), steps.back());
  });
  EXPECT_TRUE(contains(text, "was never written"));
}

TEST(Mistake, tooMuchScratch) {
  const auto scenario = makeScenario(Collective::kReduceScatter, "halving", 4, 0, 3);
  const std::string text = complaint(scenario, [](auto& ranks) {
    ranks[0].scratchBlocks = 1 + static_cast<int32_t>(Limits::kScratchBytes / 128);
  });
  EXPECT_TRUE(contains(text, "of scratch"));
}

TEST(Mistake, writingToAnInput) {
  const auto scenario = makeScenario(Collective::kBroadcast, "tree", 3, 0, 1);
  const std::string text = complaint(scenario, [](auto& ranks) {
    ranks[0].lanes[0].steps[0].destinations.back().space = Space::kInput;
  });
  EXPECT_TRUE(contains(text, "writes to an input"));
}

TEST(Mistake, overlappingOperands) {
  const auto scenario = makeScenario(Collective::kAllReduce, "one_shot", 2, 0, 1);
  const std::string text = complaint(scenario, [](auto& ranks) {
    auto& destinations = ranks[0].lanes[0].steps[1].destinations;
    destinations.push_back(destinations[0]);
  });
  EXPECT_TRUE(contains(text, "overlap"));
}

TEST(Mistake, postsInALoop) {
  auto scenario = makeScenario(Collective::kAllReduce, "one_shot", 2, 0, 3);
  scenario.plan.usesBoard = true;
  const std::string text =
      complaint(scenario, [](auto& ranks) { ranks[0].lanes[0].chunkBytes = 128; });
  EXPECT_TRUE(contains(text, "several iterations"));
}

TEST(Mistake, postOverTheBoard) {
  auto scenario = makeScenario(Collective::kAllReduce, "one_shot", 2, 0, 1);
  scenario.plan.usesBoard = true;
  scenario.call.count = Limits::kBoardBytes / 4;
  EXPECT_EQ(complaint(scenario, nothing), "");
  scenario.call.count += 1;
  EXPECT_TRUE(contains(complaint(scenario, nothing), "more than the board's"));
}

TEST(Mistake, ranksThatDoNotSeeAllExposures) {
  const auto scenario = makeScenario(Collective::kGather, "direct", 3, 0, 1);
  const std::string text = complaint(scenario, [](auto& ranks) {
    ranks[2].lanes[0].steps.clear();
    ranks[2].needsPeerMemory = false;
  });
  EXPECT_TRUE(contains(text, "rank 2 does not attach to rank 0"));
}

TEST(Mistake, otherHeads) {
  const auto scenario = makeScenario(Collective::kReduce, "chain", 3, 1, 2);
  EXPECT_NE(complaint(scenario, [](auto& ranks) { ranks[1].root = 0; }), "");
  EXPECT_NE(complaint(scenario, [](auto& ranks) { ranks[1].rank = 0; }), "");
  EXPECT_NE(complaint(scenario, [](auto& ranks) { ranks[1].size = 4; }), "");
  EXPECT_NE(complaint(scenario, [](auto& ranks) { ranks[1].sliceWeights = {}; }), "");
  EXPECT_NE(complaint(scenario, [](auto& ranks) { ranks.pop_back(); }), "");
}

TEST(Mistake, rankLaneStepAndChunkAreNamed) {
  const auto scenario = makeScenario(Collective::kAllReduce, "ring", 3, 0, 3);
  const std::string text =
      complaint(scenario, [](auto& ranks) { ranks[1].lanes[0].steps[2].sources.back().block = 1; });
  EXPECT_TRUE(contains(text, "rank 1 (ring) lane 0 step 2 (reduce) chunk 0"));
}

}  // namespace
}  // namespace tutti::schedule
