#include "src/ir/call.h"

#include <fmt/format.h>

#include "src/base/hash.h"

namespace tutti::ir {

uint64_t planBytes(const Call& call, int size) {
  const uint64_t bytes = call.count * sizeOf(call.type);
  switch (call.collective) {
    case Collective::kAllGather:
    case Collective::kReduceScatter:
    case Collective::kAllToAll:
    case Collective::kGather:
    case Collective::kScatter: return bytes * static_cast<uint64_t>(size);
    default: return bytes;
  }
}

uint64_t signature(const Call& call) {
  const bool isPair = call.collective == Collective::kRecv;
  const Collective collective = isPair ? Collective::kSend : call.collective;
  uint64_t hash = base::kHashSeed;
  hash = base::hash64(static_cast<uint64_t>(collective), hash);
  hash = base::hash64(static_cast<uint64_t>(call.type), hash);
  hash = base::hash64(isReducing(collective) ? 1 + static_cast<uint64_t>(call.op) : 0, hash);
  hash = base::hash64(call.count, hash);
  return base::hash64(hasRoot(collective) ? 1 + static_cast<uint64_t>(call.root) : 0, hash);
}

std::string toString(const Call& call) {
  std::string text =
      isOfMessages(call.collective)
          ? fmt::format("{} of {}", name(call.collective), name(call.type))
          : fmt::format("{} of {} {}", name(call.collective), call.count, name(call.type));
  if (isReducing(call.collective)) text += fmt::format(", {}", name(call.op));
  switch (call.collective) {
    case Collective::kReduce:
    case Collective::kGather:
    case Collective::kGatherV:
    case Collective::kSend: return text + fmt::format(" to rank {}", call.root);
    case Collective::kBroadcast:
    case Collective::kScatter:
    case Collective::kScatterV:
    case Collective::kRecv: return text + fmt::format(" from rank {}", call.root);
    default: return text;
  }
}

}  // namespace tutti::ir
