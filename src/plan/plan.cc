#include "src/plan/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "src/base/errors.h"
#include "src/ir/schedule.h"
#include "src/plan/algorithms.h"
#include "src/plan/cost.h"

namespace tutti::plan {
namespace {

using ir::Collective;
using ir::Limits;

constexpr uint64_t kChunkUnit = 128;
constexpr uint64_t kSmallestTriedChunk = 2048;

base::Status badArgument(std::string text) {
  return {base::Code::kInvalidArgument, base::kErrInvalidArgument, std::move(text)};
}

// One algorithm, in its best form.
struct Choice {
  const Algorithm* algorithm = nullptr;
  bool usesBoard = false;
  uint64_t chunkBytes = 0;
  uint64_t ns = std::numeric_limits<uint64_t>::max();
};

bool isPowerOfTwo(int size) { return (size & (size - 1)) == 0; }

bool hasSchedule(Collective collective) {
  return collective != Collective::kAllToAllV && collective != Collective::kGatherV &&
         collective != Collective::kScatterV;
}

// Evaluates the algorithms for one call.
class Evaluator {
 public:
  Evaluator(const ir::World& world, const ir::Call& call) : machine_(world), call_(call) {
    extent_.ranks = machine_.size;
    extent_.n = machine_.size;
    const uint64_t bytes = call.count * ir::sizeOf(call.type);
    const bool isUneven = call.collective == Collective::kAllGatherV ||
                          call.collective == Collective::kReduceScatterV;
    // The lengths of the V forms' blocks are not part of the Call: their mean stands for them.
    blockBytes_ = isUneven ? bytes / static_cast<uint64_t>(machine_.size) : bytes;
    extent_.bytes = static_cast<double>(blockBytes_);
    for (int power = 1; power < machine_.size; power *= 2) extent_.log += 1;
  }

  // Why the algorithm can not be used here, or an empty text.
  std::string obstacle(const Algorithm& algorithm) const {
    if (algorithm.needsPowerOfTwo && !isPowerOfTwo(machine_.size)) {
      return fmt::format("{} ranks are no power of two", machine_.size);
    }
    const bool needsMapping = algorithm.way == Way::kPeerMemory || algorithm.way == Way::kBoard;
    if (needsMapping && !machine_.isAllMapped) return "not all ranks share memory";
    if (algorithm.way == Way::kBoard && !fitsBoard()) {
      return fmt::format("{} B exceed a post's {} B", postBytes(call_, machine_.size),
                         Limits::kBoardBytes);
    }
    if (algorithm.scratchBlocks != nullptr &&
        static_cast<uint64_t>(algorithm.scratchBlocks(machine_.size)) * kChunkUnit >
            Limits::kScratchBytes) {
      return fmt::format("{} ranks need too much scratch memory", machine_.size);
    }
    return {};
  }

  Choice best(const Algorithm& algorithm, uint64_t forcedChunk, bool mayUseBoard = true) const {
    if (algorithm.way == Way::kPeerMemory || algorithm.way == Way::kBoard) {
      return {&algorithm, algorithm.way == Way::kBoard, 0,
              predictNs(machine_, algorithm.load(extent_), 1, 0)};
    }
    const bool isMixed = algorithm.way == Way::kBoardOrFifo;
    if (isMixed && mayUseBoard && machine_.isAllMapped && fitsBoard()) {
      return {&algorithm, true, 0, predictNs(machine_, algorithm.load(extent_), 1, 0)};
    }
    const uint64_t largest = largestChunk(algorithm);
    Choice choice;
    if (forcedChunk > 0) {
      const uint64_t wanted = std::max(kChunkUnit, forcedChunk / kChunkUnit * kChunkUnit);
      return inChunks(algorithm, std::min(wanted, largest));
    }
    for (uint64_t chunk = largest; choice.algorithm == nullptr || chunk >= kSmallestTriedChunk;
         chunk = chunk / 2 / kChunkUnit * kChunkUnit) {
      const Choice tried = inChunks(algorithm, chunk);
      if (tried.ns < choice.ns) choice = tried;
    }
    if (algorithm.isAggregating) {
      // No longer than the block: as many share a message as can.
      const uint64_t whole =
          std::max(kChunkUnit, (blockBytes_ + kChunkUnit - 1) / kChunkUnit * kChunkUnit);
      const Choice tried = inChunks(algorithm, std::min(whole, largest));
      if (tried.ns < choice.ns) choice = tried;
    }
    return choice;
  }

  bool allowsKernelCopies() const { return machine_.canCopyPeer; }
  uint64_t kernelCopyNs(const Algorithm& algorithm) const {
    return predictNs(machine_, byKernelCopies(algorithm, extent_), 1, 0);
  }

 private:
  bool fitsBoard() const { return postBytes(call_, machine_.size) <= Limits::kBoardBytes; }

  static uint64_t largestChunk(const Algorithm& algorithm, int size) {
    const auto count = [size](int (*of)(int)) {
      return of == nullptr ? uint64_t{1} : static_cast<uint64_t>(std::max(1, of(size)));
    };
    const uint64_t bytes = std::min(Limits::kFifoSlotBytes / count(algorithm.blocksPerMessage),
                                    Limits::kScratchBytes / count(algorithm.scratchBlocks));
    // Longer runs than fit are sent as several messages.
    return std::max(kChunkUnit, bytes / kChunkUnit * kChunkUnit);
  }
  uint64_t largestChunk(const Algorithm& algorithm) const {
    return largestChunk(algorithm, machine_.size);
  }

  Choice inChunks(const Algorithm& algorithm, uint64_t chunkBytes) const {
    Extent extent = extent_;
    const uint64_t run = Limits::kFifoSlotBytes / chunkBytes;
    extent.run =
        static_cast<int>(std::clamp<uint64_t>(run, 1, static_cast<uint64_t>(extent.ranks)));
    const bool isMixed = algorithm.way == Way::kBoardOrFifo;
    const RankLoad load = isMixed ? overFifos(algorithm, extent) : algorithm.load(extent);
    const auto parts = static_cast<uint64_t>(
        algorithm.parts == nullptr ? 1 : std::max(1, algorithm.parts(machine_.size)));
    const uint64_t longest = blockBytes_ / parts;
    const uint64_t iterations = ir::iterationCount(longest, chunkBytes);
    return {&algorithm, false, chunkBytes,
            predictNs(machine_, load, iterations, std::min(chunkBytes, longest))};
  }

  Machine machine_;
  const ir::Call& call_;
  Extent extent_;
  uint64_t blockBytes_ = 0;
};

bool isStaged(const Algorithm& algorithm) {
  return algorithm.way == Way::kFifo || algorithm.way == Way::kBoardOrFifo;
}

// The fastest algorithm that uses messages only.
Choice bestStaged(const Evaluator& evaluator, Collective collective) {
  Choice best;
  for (const Algorithm& algorithm : algorithms()) {
    if (algorithm.collective != collective || !isStaged(algorithm)) continue;
    if (algorithm.isOnRequest) continue;
    if (!evaluator.obstacle(algorithm).empty()) continue;
    const Choice choice = evaluator.best(algorithm, 0, false);
    if (choice.ns < best.ns) best = choice;
  }
  return best;
}

base::Result<Choice> choose(const Evaluator& evaluator, const ir::Call& call,
                            const Options& options) {
  Choice best;
  std::vector<std::string_view> usable;
  std::string obstacle;
  for (const Algorithm& algorithm : algorithms()) {
    if (algorithm.collective != call.collective) continue;
    if (!options.allowsPeerMemory && algorithm.way == Way::kPeerMemory) continue;
    const bool isWanted = options.algorithm == algorithm.name;
    const std::string why = evaluator.obstacle(algorithm);
    if (isWanted && !why.empty()) obstacle = fmt::format(": {}", why);
    if (!why.empty()) continue;
    usable.push_back(algorithm.name);
    if (!isWanted && (!options.algorithm.empty() || algorithm.isOnRequest)) continue;
    const Choice choice = evaluator.best(algorithm, options.chunkBytes);
    if (choice.ns < best.ns) best = choice;
  }
  if (best.algorithm != nullptr) return best;
  return badArgument(fmt::format("algorithm \"{}\" can not be used for {}{}; here it can be {}",
                                 options.algorithm, ir::toString(call), obstacle,
                                 fmt::join(usable, ", ")));
}

base::Status checkCall(const ir::World& world, const ir::Call& call) {
  const int size = world.size();
  if (size < 1) return badArgument("a World needs at least one rank");
  if (static_cast<int>(call.collective) < 0 ||
      static_cast<int>(call.collective) >= ir::kCollectiveCount || ir::sizeOf(call.type) == 0) {
    return badArgument("the call's collective or type is none that exists");
  }
  const bool usesRoot = ir::hasRoot(call.collective) || call.collective == Collective::kSend ||
                        call.collective == Collective::kRecv;
  if (usesRoot && (call.root < 0 || call.root >= size)) {
    return badArgument(fmt::format("{}: there are only {} ranks", ir::toString(call), size));
  }
  return {};
}

base::Status checkName(const ir::Call& call, const Options& options) {
  const auto names = algorithmsFor(call.collective);
  if (options.algorithm.empty() ||
      std::find(names.begin(), names.end(), options.algorithm) != names.end()) {
    return {};
  }
  return badArgument(fmt::format("{} has no algorithm \"{}\"; it has {}", ir::name(call.collective),
                                 options.algorithm, fmt::join(names, ", ")));
}

}  // namespace

std::vector<std::string_view> algorithmsFor(Collective collective) {
  if (!hasSchedule(collective)) return {"send_recv"};
  std::vector<std::string_view> names;
  for (const Algorithm& algorithm : algorithms()) {
    if (algorithm.collective == collective) names.push_back(algorithm.name);
  }
  return names;
}

bool isInPlaceSafe(Collective collective, std::string_view algorithm) {
  return collective != Collective::kAllToAll || algorithm != "direct";
}

base::Result<ir::Plan> plan(const ir::World& world, const ir::Call& call, const Options& options) {
  TUTTI_RETURN_IF_ERROR(checkCall(world, call));
  TUTTI_RETURN_IF_ERROR(checkName(call, options));
  ir::Plan result;
  result.collective = call.collective;
  result.root = call.root;
  if (!hasSchedule(call.collective)) {
    result.algorithm = "send_recv";
    return result;
  }
  if (world.size() == 1) {
    result.algorithm = "local";
    return result;
  }
  const Evaluator evaluator(world, call);
  TUTTI_ASSIGN_OR_RETURN(const Choice choice, choose(evaluator, call, options));
  result.algorithm = choice.algorithm->name;
  result.chunkBytes = choice.chunkBytes;
  result.usesBoard = choice.usesBoard;
  result.predictedNs = static_cast<double>(choice.ns);
  if (choice.algorithm->way == Way::kPeerMemory) {
    const Choice staged = bestStaged(evaluator, call.collective);
    result.fallbackAlgorithm = staged.algorithm->name;
    result.fallbackChunkBytes = staged.chunkBytes;
    TUTTI_ASSIGN_OR_RETURN(const Choice other,
                           choose(evaluator, call, {.allowsPeerMemory = false}));
    const bool isForced = !options.algorithm.empty();
    result.acceptsKernelCopy = evaluator.allowsKernelCopies() &&
                               (isForced || evaluator.kernelCopyNs(*choice.algorithm) < other.ns);
  }
  return result;
}

std::vector<TemplatePrice> candidates(const ir::World& world, const ir::Call& call) {
  std::vector<TemplatePrice> result;
  if (!hasSchedule(call.collective) || world.size() < 2) return result;
  const Evaluator evaluator(world, call);
  for (const Algorithm& algorithm : algorithms()) {
    if (algorithm.collective != call.collective) continue;
    TemplatePrice& candidate = result.emplace_back();
    candidate.algorithm = algorithm.name;
    candidate.reason = evaluator.obstacle(algorithm);
    candidate.isUsable = candidate.reason.empty();
    if (!candidate.isUsable) continue;
    if (algorithm.isOnRequest) candidate.reason = "only where it is asked for";
    const Choice choice = evaluator.best(algorithm, 0);
    candidate.chunkBytes = choice.chunkBytes;
    candidate.ns = choice.ns;
  }
  return result;
}

}  // namespace tutti::plan
