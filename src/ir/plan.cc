#include "src/ir/plan.h"

#include <fmt/format.h>

#include "src/base/hash.h"

namespace tutti::ir {
namespace {

std::string chunkText(uint64_t bytes) {
  if (bytes == 0) return "in one piece";
  if (bytes % 1024 == 0) return fmt::format("in {} KiB chunks", bytes / 1024);
  return fmt::format("in chunks of {} B", bytes);
}

std::string timeText(double ns) {
  if (ns < 1e6) return fmt::format("{:.1f} us", ns / 1e3);
  return fmt::format("{:.1f} ms", ns / 1e6);
}

uint64_t digestRanks(const std::vector<Rank>& ranks, uint64_t before) {
  uint64_t hash = base::hash64(ranks.size(), before);
  for (const Rank rank : ranks) hash = base::hash64(static_cast<uint64_t>(rank), hash);
  return hash;
}

}  // namespace

uint64_t digest(const Plan& plan) {
  uint64_t hash = base::hash64(static_cast<uint64_t>(plan.collective), base::kHashSeed);
  for (const auto* algorithm : {&plan.algorithm, &plan.fallbackAlgorithm}) {
    hash = base::hash64(*algorithm, base::hash64(algorithm->size(), hash));
  }
  for (const uint64_t number :
       {static_cast<uint64_t>(plan.root), plan.chunkBytes, plan.fallbackChunkBytes,
        uint64_t{plan.usesBoard}, uint64_t{plan.acceptsKernelCopy}, uint64_t{plan.fitsSlots},
        uint64_t{plan.isPaced}, uint64_t{plan.trees.size()}}) {
    hash = base::hash64(number, hash);
  }
  hash = digestRanks(plan.order, hash);
  for (const Tree& tree : plan.trees) {
    hash = base::hash64(static_cast<uint64_t>(tree.root), hash);
    hash = digestRanks(tree.parents, base::hash64(static_cast<uint64_t>(tree.weight), hash));
  }
  return hash;
}

std::string toString(const Plan& plan) {
  std::string text = fmt::format("{}: {}", name(plan.collective), plan.algorithm);
  if (!plan.trees.empty()) text += fmt::format(" ({})", plan.trees.size());
  if (plan.fallbackAlgorithm.empty()) {
    text += plan.usesBoard ? std::string(" on the board") : ' ' + chunkText(plan.chunkBytes);
  } else {
    text += fmt::format(" over peer memory{}, else {} {}",
                        plan.acceptsKernelCopy ? " (kernel copies will do)" : "",
                        plan.fallbackAlgorithm, chunkText(plan.fallbackChunkBytes));
  }
  return text + "; " + timeText(plan.predictedNs);
}

}  // namespace tutti::ir
