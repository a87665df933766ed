#include "src/schedule/validate.h"

#include <fmt/format.h>

#include <numeric>

#include "src/schedule/check.h"
#include "src/schedule/layout.h"
#include "src/schedule/replay.h"

namespace tutti::schedule {
namespace {

base::Status checkQuestion(std::span<const ir::Schedule> ranks, const ir::Call& call,
                           const ValidateOptions& options) {
  if (ranks.empty()) return wrong("there are no ranks");
  if (!options.isInPlace.empty() && options.isInPlace.size() != ranks.size()) {
    return wrong("isInPlace does not have one entry per rank");
  }
  if (ir::sizeOf(call.type) == 0) return wrong("the call's type is none that exists");
  if (call.collective != ir::Collective::kAllGatherV &&
      call.collective != ir::Collective::kReduceScatterV) {
    return {};
  }
  const uint64_t sum = std::accumulate(options.counts.begin(), options.counts.end(), uint64_t{0});
  if (options.counts.size() == ranks.size() && sum == call.count) return {};
  return wrong("counts do not have one entry per rank, or not the call's sum");
}

Turns turnsOf(int interleaving) {
  if (interleaving == 0) return Turns::kInTurn;
  return interleaving == 1 ? Turns::kLastFirst : Turns::kRandom;
}

}  // namespace

base::Status validate(std::span<const ir::Schedule> ranks, const ir::Call& call,
                      const ValidateOptions& options) {
  TUTTI_RETURN_IF_ERROR(checkQuestion(ranks, call, options));
  TUTTI_RETURN_IF_ERROR(checkForm(ranks, call, {}));
  std::vector<Layout> layouts;
  for (size_t rank = 0; rank < ranks.size(); ++rank) {
    const bool isInPlace = !options.isInPlace.empty() && options.isInPlace[rank];
    layouts.emplace_back(call, ranks[rank],
                         blockCounts(call, static_cast<int>(ranks.size()), options.counts),
                         isInPlace);
  }
  TUTTI_RETURN_IF_ERROR(checkForm(ranks, call, layouts));
  for (int interleaving = 0; interleaving < options.interleavings; ++interleaving) {
    Replay replay(ranks, call, layouts);
    const uint64_t seed = options.seed + static_cast<uint64_t>(interleaving);
    TUTTI_RETURN_IF_ERROR(replay.run(turnsOf(interleaving), seed));
    TUTTI_RETURN_IF_ERROR(replay.checkEnd());
  }
  return {};
}

}  // namespace tutti::schedule
