// Why an operation does not get on: disagreements, departures, and ranks that are late.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "src/base/clock.h"
#include "src/base/errors.h"
#include "src/executor/engine.h"

namespace tutti::executor {

using base::Code;
using base::Status;
using transports::OpRecord;

namespace {

ir::Call callOf(const OpRecord& record) {
  ir::Call call;
  call.collective = static_cast<ir::Collective>(record.collective.load());
  call.type = static_cast<ir::DataType>(record.type.load());
  call.op = static_cast<ir::RedOp>(record.op.load());
  call.count = record.count.load();
  call.root = static_cast<ir::Rank>(record.root.load());
  return call;
}

const OpRecord& recordOf(const transports::SegmentView& segment, uint64_t number) {
  return segment.header().log[number % transports::kOpLogSize];
}

}  // namespace

void Engine::lookForFailures() {
  std::unique_lock lock(mutex_, std::defer_lock);
  if (hasAsync() && !lock.try_lock()) return;
  lookLocked();
}

void Engine::lookForFailuresAsync() {
  std::unique_lock lock(mutex_, std::try_to_lock);
  if (!lock.owns_lock() || !hasAsync()) return;
  lookLocked();
  finishAsync();
}

void Engine::lookLocked() {
  if (hasFailed()) return;
  const int64_t now = base::nowNs();
  publishState(false);
  for (auto* operation : active_) {
    if (!isWaitingForPeers(*operation)) {
      operation->stillSinceNs = 0;
      continue;
    }
    if (operation->stillSinceNs == 0) operation->stillSinceNs = now;
    if (auto status = findMismatch(*operation); !status.isOk()) return fail(std::move(status));
  }
  Status external = options_.externalFailure ? options_.externalFailure() : Status();
  if (external.isOk()) external = findDeparture();
  if (!external.isOk()) {
    // What the peer did before it went may be all that is needed.
    if (!progress()) fail(std::move(external));
    return;
  }
  if (options_.timeout.count() == 0) return;
  for (auto* operation : active_) {
    const int64_t waitedMs = (now - operation->stillSinceNs) / 1'000'000;
    const bool isStuck = operation->stillSinceNs != 0 && isTooLong(*operation, waitedMs);
    if (isStuck) return fail(timeoutReport(*operation));
  }
}

// Where all have arrived, the rank that this one waits for may wait for another, which is to blame:
// the control plane, or the rank in between, knows it a little later.
bool Engine::isTooLong(const Operation& operation, int64_t waitedMs) const {
  const int64_t limitMs = options_.timeout.count();
  if (waitedMs < limitMs) return false;
  return waitedMs >= limitMs + limitMs / 4 || !lateRanks(operation).empty();
}

Status Engine::findMismatch(const Operation& operation) const {
  if (operation.number == 0) {
    const ir::Rank rank = operation.program->call.root;
    return differs(rank, operation.part) ? mismatch(operation, rank) : Status();
  }
  for (ir::Rank rank = 0; rank < options_.size; ++rank) {
    const auto& peer = peers_[static_cast<size_t>(rank)];
    if (peer.connection == nullptr) continue;
    const auto& record = recordOf(peer.segment, operation.number);
    if (record.number.load(std::memory_order_acquire) != operation.number) continue;
    if (record.signature.load() != operation.program->signature) return mismatch(operation, rank);
  }
  return {};
}

Status Engine::mismatch(const Operation& operation, ir::Rank rank) const {
  const bool isPair = operation.number == 0;
  if (isPair && !differs(rank, operation.part)) return pairMismatch(operation, rank);
  const uint64_t at = isPair ? operation.part : operation.number;
  const auto number = firstDifference(rank, at);
  const auto& record = recordOf(peers_[static_cast<size_t>(rank)].segment, number);
  const auto& own = recordOf(options_.segment, number);
  const bool isKnown = record.number.load(std::memory_order_acquire) == number;
  const auto theirs = isKnown ? ir::toString(callOf(record)) : std::string("something else");
  const ir::Call call = number == operation.number ? operation.program->call : callOf(own);
  const auto ours = ir::toString(call);
  const bool hasCounts = call.collective == ir::Collective::kAllGatherV ||
                         call.collective == ir::Collective::kReduceScatterV;
  if (theirs == ours && !hasCounts) {
    return {Code::kInvalidUsage, base::kErrCollectiveMismatch,
            fmt::format("ranks disagree on operation {} ({}): {} and this rank ({}) planned it "
                        "differently; use one version of Tutti on all ranks, and remove the plans "
                        "that were kept (TUTTI_CACHE_DIR)",
                        number, ours, describe(rank), options_.rank)};
  }
  if (theirs == ours) {
    return {
        Code::kInvalidUsage, base::kErrCollectiveMismatch,
        fmt::format("ranks disagree on operation {} ({}): the counts of the blocks on {} and on "
                    "this rank ({}) differ; pass the same counts on all ranks",
                    number, ours, describe(rank), options_.rank)};
  }
  return {Code::kInvalidUsage, base::kErrCollectiveMismatch,
          fmt::format("ranks disagree on operation {}: {} called {}, this rank ({}) called {}; all "
                      "ranks must make the same calls in the same order",
                      number, describe(rank), theirs, options_.rank, ours)};
}

// A message that is not what this rank expects next from or for `rank`, though the two agree on the
// collectives as far as their logs tell.
Status Engine::pairMismatch(const Operation& operation, ir::Rank rank) const {
  const bool isSend = operation.program->call.collective == ir::Collective::kSend;
  const auto* other = isSend ? "receive" : "send";
  if (operation.part == 0) {
    return {Code::kInvalidUsage, base::kErrCollectiveMismatch,
            fmt::format("{} and the {} it meets on {} differ in count or type, or that is part of "
                        "a collective; make them equal",
                        nameOf(operation), other, describe(rank))};
  }
  return {Code::kInvalidUsage, base::kErrCollectiveMismatch,
          fmt::format("{} and the {} it meets on {} differ in count, or that is of another call; "
                      "both ranks must make the same calls in the same order, with the same counts "
                      "for what passes between them",
                      nameOf(operation), other, describe(rank))};
}

// Do the logs of this rank and `rank` say that they disagree on collective `number`? 0: no.
bool Engine::differs(ir::Rank rank, uint64_t number) const {
  const auto& peer = peers_[static_cast<size_t>(rank)];
  if (number == 0 || peer.connection == nullptr) return false;
  const auto& mine = recordOf(options_.segment, number);
  const auto& other = recordOf(peer.segment, number);
  const bool areKnown = mine.number.load(std::memory_order_acquire) == number &&
                        other.number.load(std::memory_order_acquire) == number;
  return areKnown && mine.signature.load() != other.signature.load();
}

// "operation 3 (all_reduce of 5 float, sum)"; a message names what it is part of.
std::string Engine::nameOf(const Operation& operation) const {
  const auto text = ir::toString(operation.program->call);
  if (operation.number != 0) return fmt::format("operation {} ({})", operation.number, text);
  if (operation.part == 0) return text;
  const auto& record = recordOf(options_.segment, operation.part);
  const bool isKnown = record.number.load(std::memory_order_acquire) == operation.part;
  const auto whole = isKnown ? fmt::format(" ({})", ir::toString(callOf(record))) : std::string();
  return fmt::format("the {} of operation {}{}", text, operation.part, whole);
}

// The oldest operation in both logs on which this rank and `rank` disagree, at most `number`.
uint64_t Engine::firstDifference(ir::Rank rank, uint64_t number) const {
  const uint64_t oldest =
      number >= transports::kOpLogSize ? number - transports::kOpLogSize + 1 : 1;
  for (uint64_t at = oldest; at < number; ++at) {
    if (differs(rank, at)) return at;
  }
  return number;
}

Status Engine::findDeparture() const {
  for (auto* operation : active_) {
    if (!isWaitingForPeers(*operation)) continue;
    for (ir::Rank rank = 0; rank < options_.size; ++rank) {
      const auto& peer = peers_[static_cast<size_t>(rank)];
      if (peer.connection == nullptr || !isWaitingFor(*operation, rank)) continue;
      const auto state = static_cast<transports::RankState>(
          peer.segment.header().state.load(std::memory_order_acquire));
      // Who did its part before it went is not missed.
      const auto completed = peer.segment.header().completedOps.load(std::memory_order_acquire);
      if (operation->number != 0 && completed >= operation->number) continue;
      if (state == transports::RankState::kLeft) {
        return {Code::kRemoteError, base::kErrPeerLeft,
                fmt::format("{} has left the communicator, but {} waits for it", describe(rank),
                            nameOf(*operation))};
      }
      if (state == transports::RankState::kFailed) {
        return {Code::kRemoteError, base::kErrPeerAborted,
                fmt::format("{} gave up: {}", describe(rank), peer.segment.header().failure)};
      }
      if (peer.remote != nullptr && !peer.remote->failure().isOk()) {
        return peer.remote->failure().withContext(describe(rank));
      }
    }
  }
  return {};
}

// Not for the user's stream, nor for an operation before it.
bool Engine::isWaitingForPeers(const Operation& operation) const {
  if (operation.isDone) return false;
  if (operation.isStarted) return true;
  const auto& gate = operation.request.gate;
  if (gate && gate->load(std::memory_order_acquire) == 0) return false;
  return operation.number == completedOps_ + 1;
}

bool Engine::isWaitingFor(const Operation& operation, ir::Rank rank) const {
  const Program& program = *operation.program;
  // Before it starts, a collective waits for ranks that are many operations behind.
  if (!operation.isStarted) {
    const auto& peer = peers_[static_cast<size_t>(rank)];
    return operation.number != 0 && peer.connection != nullptr && peer.remote == nullptr &&
           peer.completedOps + transports::kBoardOps < operation.number;
  }
  if (!program.isCollective) return program.call.root == rank;
  for (size_t i = 0; i < program.lanes.size(); ++i) {
    const auto& lane = program.lanes[i];
    const auto& state = operation.lanes[i];
    if (state.iteration >= lane.iterations || lane.stepCount == 0) continue;
    const auto& step = program.steps[lane.stepBegin + state.step];
    const auto* peers = program.peers.data() + step.peerBegin;
    if (std::find(peers, peers + step.peerCount, rank) != peers + step.peerCount) return true;
    const auto* operand = program.operands.data() + step.operandBegin;
    const auto* end = operand + step.sourceCount + step.destinationCount;
    if (std::any_of(operand, end, [&](const FlatOperand& o) {
          return o.rank == rank && (o.space == ir::Space::kFifo || o.space == ir::Space::kBoard);
        })) {
      return true;
    }
  }
  return false;
}

std::vector<ir::Rank> Engine::lateRanks(const Operation& operation) const {
  std::vector<ir::Rank> late;
  for (ir::Rank rank = 0; rank < options_.size; ++rank) {
    const auto& peer = peers_[static_cast<size_t>(rank)];
    if (peer.connection == nullptr) continue;
    // Who is remote says that it has arrived while it waits, not once it is done.
    if (peer.remote != nullptr && !isWaitingFor(operation, rank)) continue;
    if (operation.number == 0) {
      if (operation.program->call.root == rank) late.push_back(rank);
      continue;
    }
    const auto& header = peer.segment.header();
    const auto recorded = recordOf(peer.segment, operation.number).number.load();
    const bool hasArrived =
        recorded >= operation.number || header.completedOps.load() >= operation.number;
    if (!hasArrived) late.push_back(rank);
  }
  return late;
}

Status Engine::timeoutReport(const Operation& operation) const {
  const auto late = lateRanks(operation);
  const double seconds = static_cast<double>(options_.timeout.count()) / 1000.0;
  const auto describeAll = [&](const std::vector<ir::Rank>& ranks) {
    std::vector<std::string> names;
    for (const ir::Rank rank : ranks) names.push_back(describe(rank));
    return fmt::format("{}", fmt::join(names, ", "));
  };
  if (!late.empty()) {
    return {Code::kTimeout, base::kErrCollectiveTimeout,
            fmt::format("{}: {} did not arrive within {:g} s; if that is not a hang, raise "
                        "TUTTI_TIMEOUT",
                        nameOf(operation), describeAll(late), seconds)};
  }
  std::vector<ir::Rank> slow;
  for (ir::Rank rank = 0; rank < options_.size; ++rank) {
    if (rank != options_.rank && isWaitingFor(operation, rank)) slow.push_back(rank);
  }
  return {Code::kTimeout, base::kErrCollectiveTimeout,
          fmt::format("{}: all ranks arrived, but {} made no progress for {:g} s; stopped, or "
                      "starved of processor time",
                      nameOf(operation), describeAll(slow), seconds)};
}

}  // namespace tutti::executor
