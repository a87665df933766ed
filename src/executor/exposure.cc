// Reaching peers' buffers in place: ranks say where theirs are, and all decide alike whether that
// will do.
#include <algorithm>
#include <bit>
#include <cstring>

#include "src/base/errors.h"
#include "src/executor/engine.h"

namespace tutti::executor {

using base::Code;

// What kExpose posts: where this rank's buffers are and what its contribution is multiplied by.
struct Exposure {
  uint64_t inputAddress;
  uint64_t outputAddress;
  device::ShareHandle inputShare;
  device::ShareHandle outputShare;
  device::Factor factor;
  uint64_t isInPlace;
};

Engine::Outcome Engine::expose(Operation& operation, const FlatStep& step) {
  const auto& request = operation.request;
  const Program& program = *operation.program;
  auto& memory = options_.device->memory();
  Exposure exposure{};
  exposure.inputAddress = reinterpret_cast<uint64_t>(request.input);
  exposure.outputAddress = reinterpret_cast<uint64_t>(request.output);
  if (program.exposesInput) exposure.inputShare = memory.share(request.input, program.inputBytes);
  if (program.exposesOutput) {
    exposure.outputShare = memory.share(request.output, program.outputBytes);
  }
  exposure.factor = request.factor;
  exposure.isInPlace = request.input == request.output ? 1 : 0;
  auto& own = options_.segment.post(operation.number, static_cast<int>(step.post));
  std::memcpy(own.data(sizeof(exposure)), &exposure, sizeof(exposure));
  post(operation, step.post, sizeof(exposure));
  // Those who attach decide then, for this rank too.
  if (!program.isAttaching) decide(operation, isReachable(program, options_.rank, exposure));
  return Outcome::kDone;
}

void Engine::use(Operation& operation, const Program& program) {
  operation.program = &program;
  operation.lanes.assign(program.lanes.size(), {});
}

Engine::Outlook& Engine::outlookOf(const Operation& operation) {
  const auto& call = operation.program->call;
  const auto sizeClass = static_cast<size_t>(std::bit_width(call.count));
  return outlooks_[static_cast<size_t>(call.collective)]
                  [std::min<size_t>(sizeClass, kSizeClasses - 1)];
}

// Starts with what does not ask for peers' buffers where asking was in vain of late.
void Engine::foreseeProgram(Operation& operation) {
  auto& outlook = outlookOf(operation);
  if (outlook.left == 0) return;
  --outlook.left;
  use(operation, *operation.programs->staged);
}

void Engine::decide(Operation& operation, bool isReachable) {
  constexpr int kLongestPause = 63;
  auto& outlook = outlookOf(operation);
  const int pause = isReachable ? 0 : std::min(2 * outlook.pause + 1, kLongestPause);
  outlook.pause = outlook.left = static_cast<uint8_t>(pause);
  if (!isReachable) use(operation, *operation.programs->fallback);
}

// Decides from what everybody sees, not from what happens to work here, so that all decide alike.
bool Engine::isReachable(const Program& program, ir::Rank rank, const Exposure& exposure) const {
  const auto access = program.accessTo(rank);
  if (program.call.collective == ir::Collective::kAllToAll && exposure.isInPlace != 0) return false;
  if (options_.isOneProcess) return true;
  if (program.acceptsKernelCopy && options_.canCopyPeers) return true;
  return (!access.input || exposure.inputShare.inode != 0) &&
         (!access.output || exposure.outputShare.inode != 0);
}

Engine::Outcome Engine::attach(Operation& operation, const FlatStep& step) {
  if (waitPosts(operation, step) == Outcome::kBlocked) return Outcome::kBlocked;
  const Program& program = *operation.program;
  operation.attachments.resize(peers_.size());
  bool isReachableByAll = true;
  const auto exposureOf = [&](const transports::SegmentView& segment) {
    Exposure exposure;
    auto& post = segment.post(operation.number, static_cast<int>(step.post));
    std::memcpy(&exposure, post.data(sizeof(exposure)), sizeof(exposure));
    return exposure;
  };
  if (program.isExposing) {
    isReachableByAll = isReachable(program, options_.rank, exposureOf(options_.segment));
  }
  for (uint32_t i = 0; i < step.peerCount; ++i) {
    const ir::Rank rank = program.peers[step.peerBegin + i];
    const auto exposure = exposureOf(peers_[static_cast<size_t>(rank)].segment);
    isReachableByAll &= isReachable(program, rank, exposure);
  }
  // First the decision, which all ranks take alike, then what may fail on one.
  decide(operation, isReachableByAll);
  for (uint32_t i = 0; isReachableByAll && i < step.peerCount; ++i) {
    const ir::Rank rank = program.peers[step.peerBegin + i];
    const auto exposure = exposureOf(peers_[static_cast<size_t>(rank)].segment);
    if (!attachPeer(operation, rank, exposure)) return Outcome::kBlocked;
  }
  return Outcome::kDone;
}

bool Engine::attachPeer(Operation& operation, ir::Rank rank, const Exposure& exposure) {
  const auto access = operation.program->accessTo(rank);
  auto& connection = *peers_[static_cast<size_t>(rank)].connection;
  auto& attachment = operation.attachments[static_cast<size_t>(rank)];
  attachment = {nullptr, nullptr, exposure.inputAddress, exposure.outputAddress, exposure.factor};
  if (access.input) {
    attachment.input =
        connection.mapPeer(exposure.inputAddress, exposure.inputShare, access.inputBytes);
  }
  if (access.output) {
    attachment.output =
        connection.mapPeer(exposure.outputAddress, exposure.outputShare, access.outputBytes);
  }
  const bool isMapped = (!access.input || attachment.input != nullptr) &&
                        (!access.output || attachment.output != nullptr);
  if (isMapped || connection.canCopy()) return true;
  fail({Code::kSystemError, base::kErrCmaNotPermitted,
        "the buffer of " + describe(rank) +
            " could neither be mapped nor copied; raise the limit on open files or memory maps"});
  return false;
}

}  // namespace tutti::executor
