// From thread blocks to lanes: what a run of the file (msccl_run.h) wrote down becomes Schedules,
// which are proved before anybody gets them.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <numeric>
#include <optional>

#include "src/base/errors.h"
#include "src/base/read_file.h"
#include "src/base/xml.h"
#include "src/schedule/check.h"
#include "src/schedule/msccl_file.h"
#include "src/schedule/msccl_run.h"
#include "src/schedule/msccl_xml.h"
#include "src/schedule/steps.h"
#include "src/schedule/validate.h"

namespace tutti::schedule {
namespace {

using base::Status;
using ir::Limits;
using ir::Space;
using ir::StepKind;

constexpr uint64_t kLongestChunk = 32768;

// The thread blocks of one rank as lanes: those that share scratch are one.
class LaneMaker {
 public:
  explicit LaneMaker(MscclRankState& rank) : rank_(rank), group_(rank.blocks.size()) {
    std::iota(group_.begin(), group_.end(), size_t{0});
    std::map<int, size_t> owners;
    for (size_t block = 0; block < rank.blocks.size(); ++block) {
      for (const int scratch : rank.blocks[block].scratch) {
        const size_t owner = owners.try_emplace(scratch, block).first->second;
        group_[rootOf(block)] = rootOf(owner);
      }
    }
  }

  std::vector<ir::Lane> make() {
    collect();
    std::vector<ir::Lane> lanes;
    for (const auto& steps : lanes_) {
      ir::Lane& lane = lanes.emplace_back();
      for (MscclRan* ran : steps) {
        ran->step.afterLane = -1;
        const auto [other, step] = awaited(*ran);
        if (other >= 0 && other != static_cast<int>(lanes.size()) - 1) {
          ran->step.afterLane = other;
          ran->step.afterStep = step;
        }
        lane.steps.push_back(ran->step);
      }
    }
    return lanes;
  }

 private:
  size_t rootOf(size_t block) const {
    while (group_[block] != block) block = group_[block];
    return block;
  }

  void collect() {
    std::map<size_t, std::vector<MscclRan*>> groups;
    for (size_t block = 0; block < rank_.blocks.size(); ++block) {
      for (MscclRan& ran : rank_.blocks[block].ran) groups[rootOf(block)].push_back(&ran);
    }
    for (auto& [root, steps] : groups) {
      std::sort(steps.begin(), steps.end(),
                [](const MscclRan* a, const MscclRan* b) { return a->order < b->order; });
      std::vector<MscclRan*> kept;
      for (MscclRan* ran : steps) {
        const bool isIdle = ran->step.kind == StepKind::kPass &&
                            (ran->after < 0 || rootOf(static_cast<size_t>(ran->after)) == root);
        if (!isIdle && !joinsLast(kept, *ran)) kept.push_back(ran);
        place_[ran] = {static_cast<int>(lanes_.size()), static_cast<int>(kept.size()) - 1};
      }
      if (!kept.empty()) lanes_.push_back(std::move(kept));
    }
  }

  // A chain of "re" into one place is one step.
  static bool joinsLast(const std::vector<MscclRan*>& kept, const MscclRan& ran) {
    if (kept.empty() || !ran.isPlainReduce || ran.after >= 0) return false;
    MscclRan& last = *kept.back();
    if (!last.isPlainReduce || last.isAwaited || last.block != ran.block || last.step.isFinal ||
        last.step.slice != ran.step.slice || last.step.slices != ran.step.slices ||
        last.step.destinations != ran.step.destinations ||
        ran.step.sources[0] != ran.step.destinations[0]) {
      return false;
    }
    last.step.sources.push_back(ran.step.sources[1]);
    last.step.isFinal = ran.step.isFinal;
    last.isAwaited = ran.isAwaited;
    return true;
  }

  // Lane and step; -1: nothing that is left.
  std::pair<int, int> awaited(const MscclRan& ran) const {
    if (ran.after < 0 || ran.afterIndex < 0) return {-1, 0};
    const MscclRan& other =
        rank_.blocks[static_cast<size_t>(ran.after)].ran[static_cast<size_t>(ran.afterIndex)];
    const auto at = place_.at(&other);
    return at.second < 0 ? std::pair(-1, 0) : at;
  }

  MscclRankState& rank_;
  std::vector<size_t> group_;
  std::vector<std::vector<MscclRan*>> lanes_;
  std::map<const MscclRan*, std::pair<int, int>> place_;
};

// Channels and chunks that fit the slots.
struct Cut {
  std::vector<uint64_t> narrowBytes;
  uint64_t chunkBytes = 0;  // of one chunk of the file
};

base::Result<Cut> cutFor(MscclRunner& runner, std::string_view name) {
  Cut cut;
  uint64_t room = Limits::kFifoSlotBytes;
  const size_t channels = runner.channels();
  if (channels > static_cast<size_t>(Limits::kNarrowChannels)) {
    return base::errorAt(name, 0,
                         fmt::format("{} channels between two ranks; {} are the most", channels,
                                     Limits::kNarrowChannels),
                         base::kErrScheduleFile);
  }
  if (channels > static_cast<size_t>(Limits::kSendRecvChannel)) {
    room = room / channels / kChunkUnit * kChunkUnit;
    cut.narrowBytes.assign(channels, room);
  }
  int scratchBlocks = 1;
  for (const MscclRankState& rank : runner.ranks()) {
    scratchBlocks = std::max(scratchBlocks, rank.scratchBlocks);
  }
  const uint64_t most =
      std::min({room / static_cast<uint64_t>(runner.longestMessage()),
                Limits::kScratchBytes / static_cast<uint64_t>(scratchBlocks), kLongestChunk});
  cut.chunkBytes = most / kChunkUnit * kChunkUnit;
  if (cut.chunkBytes > 0) return cut;
  return base::errorAt(name, 0,
                       fmt::format("messages of {} chunks, or {} chunks of scratch, are too many",
                                   runner.longestMessage(), scratchBlocks),
                       base::kErrScheduleFile);
}

// Where a file for use in place has nothing to do, an output that is not the input needs a copy.
ir::Lane copiesOf(MscclRunner& runner, ir::Rank self) {
  const MscclPlaces& places = runner.places();
  const MscclRankState& state = runner.ranks()[static_cast<size_t>(self)];
  ir::Lane copies;
  for (int chunk = 0; chunk < places.chunks(MscclBuffer::kInput, self); ++chunk) {
    const int same = places.outputAt(self, chunk);
    if (same < 0) continue;
    const auto at = static_cast<size_t>(state.outputPlaces[static_cast<size_t>(same)]);
    if (state.places[at].isWritten) continue;
    ir::Step copy = move(input(self, places.blockOf(MscclBuffer::kInput, chunk)),
                         {output(self, places.blockOf(MscclBuffer::kOutput, same))});
    if (places.slices > 1) copy.slice = places.sliceOf(chunk);
    copies.steps.push_back(std::move(copy));
  }
  return copies;
}

void finishLane(const MscclPlaces& places, const Cut& cut, ir::Lane& lane) {
  const bool isSliced = places.slices > 1;
  lane.channel = cut.narrowBytes.empty() ? 0 : Limits::kChannels;
  lane.blocks = places.isVector ? places.all : 1;
  lane.slice = isSliced ? -1 : 0;
  lane.chunkBytes = isSliced ? 0 : cut.chunkBytes;
  for (ir::Step& step : lane.steps) {
    for (auto* operands : {&step.sources, &step.destinations}) {
      for (ir::Operand& each : *operands) {
        if (each.space == Space::kFifo) each.channel += lane.channel;
      }
    }
  }
}

ir::Schedule scheduleOf(MscclRunner& runner, ir::Rank self, const Cut& cut) {
  const MscclPlaces& places = runner.places();
  MscclRankState& state = runner.ranks()[static_cast<size_t>(self)];
  ir::Schedule schedule;
  schedule.collective = places.collective;
  schedule.rank = self;
  schedule.size = places.size;
  schedule.root = places.root;
  schedule.algorithm = "msccl";
  schedule.sliceWeights.assign(static_cast<size_t>(places.slices), 1);
  if (places.slices > 1) {
    schedule.sliceChunks.assign(static_cast<size_t>(places.slices), cut.chunkBytes);
  }
  schedule.scratchBlocks = state.scratchBlocks;
  schedule.narrowBytes = cut.narrowBytes;
  schedule.lanes = LaneMaker(state).make();
  ir::Lane copies = runner.file().isForInPlace ? copiesOf(runner, self) : ir::Lane();
  if (!copies.steps.empty()) schedule.lanes.push_back(std::move(copies));
  for (ir::Lane& lane : schedule.lanes) finishLane(places, cut, lane);
  return schedule;
}

// Two chunks of each block, the second a short one; and nearly nothing.
Status prove(const MscclAlgorithm& algorithm, const MscclPlaces& places, uint64_t chunkBytes,
             bool isInPlace) {
  ir::Call call;
  call.collective = places.collective;
  call.root = places.root;
  const uint64_t longest = chunkBytes / ir::sizeOf(call.type) + 33;
  const auto parts = static_cast<uint64_t>(places.isVector ? places.all : places.slices);
  ValidateOptions options;
  options.isInPlace.assign(static_cast<size_t>(places.size), isInPlace);
  size_t steps = 0;
  for (const ir::Schedule& schedule : algorithm.ranks) {
    for (const ir::Lane& lane : schedule.lanes) steps += lane.steps.size();
  }
  constexpr size_t kManySteps = 5000;
  options.interleavings = steps > kManySteps ? 1 : 2;
  for (const uint64_t count : {parts * longest, uint64_t{1}}) {
    call.count = count;
    TUTTI_RETURN_IF_ERROR(validate(algorithm.ranks, call, options));
  }
  return {};
}

}  // namespace

base::Result<MscclAlgorithm> readMscclXml(std::string_view text, std::string_view file) {
  TUTTI_ASSIGN_OR_RETURN(const MscclFile parsed, parseMscclFile(text, file));
  std::optional<MscclRunner> runner(std::in_place, parsed, file, true);
  TUTTI_ASSIGN_OR_RETURN(const bool isWhole, runner->run());
  if (!isWhole) {
    runner.emplace(parsed, file, false);
    TUTTI_RETURN_IF_ERROR(runner->run().status());
  }
  TUTTI_ASSIGN_OR_RETURN(const Cut cut, cutFor(*runner, file));
  MscclAlgorithm algorithm;
  algorithm.name = parsed.name;
  algorithm.minBytes = parsed.minBytes;
  algorithm.maxBytes = parsed.maxBytes;
  for (ir::Rank rank = 0; rank < runner->places().size; ++rank) {
    algorithm.ranks.push_back(scheduleOf(*runner, rank, cut));
  }
  const auto wrong = [&](const Status& status) {
    return base::errorAt(
        file, 0, fmt::format("is no right {}: {}", ir::name(parsed.collective), status.text()),
        base::kErrScheduleFile);
  };
  const Status out = prove(algorithm, runner->places(), cut.chunkBytes, false);
  if (!out.isOk()) return wrong(out);
  const Status in = prove(algorithm, runner->places(), cut.chunkBytes, true);
  if (!in.isOk() && parsed.isForInPlace) return wrong(in);
  algorithm.isInPlaceSafe = in.isOk();
  return algorithm;
}

base::Result<MscclAlgorithm> readMscclFile(const std::string& path) {
  constexpr size_t kMostBytes = size_t{64} << 20;
  const auto text = base::readFile(path, kMostBytes, "schedule");
  if (text.isOk()) return readMscclXml(*text, path);
  return base::Status(base::Code::kInvalidArgument, base::kErrScheduleFile,
                      fmt::format("cannot read {}: {}", path, text.status().text()));
}

}  // namespace tutti::schedule
