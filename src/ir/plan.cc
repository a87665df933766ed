#include "src/ir/plan.h"

#include <fmt/format.h>

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

}  // namespace

std::string toString(const Plan& plan) {
  std::string text = fmt::format("{}: {}", name(plan.collective), plan.algorithm);
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
