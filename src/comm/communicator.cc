#include "src/comm/communicator.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "src/base/config.h"
#include "src/base/errors.h"
#include "src/base/hash.h"
#include "src/base/log.h"
#include "src/executor/progress_thread.h"
#include "src/plan/plan.h"
#include "src/schedule/lower.h"

namespace tutti::comm {

using base::Code;
using base::Status;

namespace {

// Results of at least this size are stored around the caches: they would only push out what the
// program needs next, and a store through the cache first reads what it overwrites.
constexpr uint64_t kStreamingBytes = 8 << 20;

using Flag = std::shared_ptr<std::atomic<uint32_t>>;

// Sets `gate` once the stream gets there, and keeps it until then: the operation may have failed
// and gone before.
Status openGateAfter(device::StreamOrder& order, void* stream, const Flag& gate) {
  auto kept = std::make_unique<Flag>(gate);
  const auto wake = [](void* context) {
    delete static_cast<Flag*>(context);
    executor::ProgressThread::instance().wake();
  };
  TUTTI_RETURN_IF_ERROR(order.after(stream, gate.get(), wake, kept.get()));
  static_cast<void>(kept.release());
  return {};
}

bool movesNothing(const ir::Call& call) {
  const bool isPair =
      call.collective == ir::Collective::kSend || call.collective == ir::Collective::kRecv;
  return ir::isOfMessages(call.collective) || (call.count == 0 && !isPair);
}

}  // namespace

Communicator::~Communicator() {
  replanner_.reset();
  engine_.reset();  // nothing moves any more before what it uses goes
  if (control_ != nullptr) control_->announceLeave();
}

base::Result<executor::Request> Communicator::requestFor(const Work& work) {
  executor::Request request;
  if (work.table.counts.empty()) {
    request.programs = plans_.find(work.call);
  }
  if (request.programs == nullptr) {
    TUTTI_ASSIGN_OR_RETURN(request.programs, programsFor(work));
  }
  request.input = work.input;
  request.output = work.output;
  request.factor = work.factor;
  request.scalar = work.scalar;
  request.isPart = work.isPart;
  return request;
}

base::Result<executor::Operation*> Communicator::start(Work& work, std::vector<StreamHold>* holds) {
  if (engine_->hasFailed()) [[unlikely]] {
    return engine_->failure().withContext("the communicator failed before");
  }
  TUTTI_RETURN_IF_ERROR(enterPlan());
  TUTTI_ASSIGN_OR_RETURN(executor::Request request, requestFor(work));
  const bool isAsync = work.stream != nullptr || !config_.isBlocking;
  if (!isAsync) return engine_->start(std::move(request));
  if (work.stream != nullptr) {
    auto& order = device_->order();
    request.order = &order;
    request.gate = std::make_shared<std::atomic<uint32_t>>(0);
    request.release = std::make_shared<std::atomic<uint32_t>>(0);
    TUTTI_RETURN_IF_ERROR(openGateAfter(order, work.stream, request.gate));
    if (holds != nullptr) {
      holds->push_back({&order, work.stream, request.release});
    } else {
      TUTTI_RETURN_IF_ERROR(order.hold(work.stream, request.release));
    }
  }
  engine_->startAsync(std::move(request));
  return static_cast<executor::Operation*>(nullptr);
}

base::Result<ir::Plan> Communicator::planFor(const ir::Call& call, const plan::Options& options) {
  if (fabric_ == nullptr || !plan::hasTable(call.collective)) {
    return plan::plan(world_, call, options);
  }
  return fabric_->plan(world_, call, options);
}

base::Result<std::shared_ptr<const executor::Programs>> Communicator::programsFor(
    const Work& work) {
  const auto keep = [&](executor::Programs&& made) {
    auto programs = std::make_shared<const executor::Programs>(std::move(made));
    if (work.table.counts.empty()) {
      const std::lock_guard lock(plansMutex_);
      plans_.insert(work.call, programs);
    }
    return programs;
  };
  if (movesNothing(work.call)) return keep({executor::placeholder(work.call), nullptr, nullptr});
  plan::Options options;
  const auto& forced = base::processConfig().get(base::param::kAlgo);
  const auto known = plan::algorithmsFor(work.call.collective);
  if (std::find(known.begin(), known.end(), forced) != known.end()) options.algorithm = forced;
  const auto match = algorithms_.find(work.call);
  if (match.schedule != nullptr && options.algorithm.empty() && work.table.counts.empty()) {
    TUTTI_ASSIGN_OR_RETURN(auto made, programsOf(match, work));
    return keep(std::move(made));
  }
  options.chunkBytes = base::processConfig().get(base::param::kChunk);
  TUTTI_ASSIGN_OR_RETURN(const ir::Plan plan, planFor(work.call, options));
  TUTTI_LOG_INFO(kTuning, "{}: {}", ir::toString(work.call), ir::toString(plan));
  executor::Programs programs;
  const auto compiled =
      [&](const base::Result<ir::Schedule>& schedule) -> base::Result<executor::Program> {
    if (!schedule.isOk()) return schedule.status();
    return executor::compile(*schedule, work.call, work.table, kStreamingBytes);
  };
  TUTTI_ASSIGN_OR_RETURN(programs.main, compiled(schedule::lower(plan, size(), rank_)));
  if (programs.main.needsPeerMemory) {
    TUTTI_ASSIGN_OR_RETURN(auto fallback, compiled(schedule::lowerFallback(plan, size(), rank_)));
    programs.fallback = std::make_unique<executor::Program>(std::move(fallback));
    options.algorithm.clear();
    options.allowsPeerMemory = false;
    TUTTI_ASSIGN_OR_RETURN(const ir::Plan without, plan::plan(world_, work.call, options));
    TUTTI_ASSIGN_OR_RETURN(auto staged, compiled(schedule::lower(without, size(), rank_)));
    programs.staged = std::make_unique<executor::Program>(std::move(staged));
  }
  if (fabric_ != nullptr && plan::hasTable(work.call.collective)) {
    // Every rank plans for itself: with its messages goes what it found.
    const uint64_t signature = base::hash64(ir::digest(plan), programs.main.signature);
    for (auto* each : {&programs.main, programs.fallback.get(), programs.staged.get()}) {
      if (each != nullptr) each->signature = signature;
    }
  }
  return keep(std::move(programs));
}

base::Result<executor::Programs> Communicator::programsOf(const Algorithms::Match& match,
                                                          const Work& work) const {
  TUTTI_LOG_INFO(kTuning, "{}: {}", ir::toString(work.call), match.schedule->algorithm);
  executor::Programs programs;
  TUTTI_ASSIGN_OR_RETURN(
      programs.main, executor::compile(*match.schedule, work.call, work.table, kStreamingBytes));
  programs.main.signature = base::hash64(match.digest, programs.main.signature);
  return programs;
}

Status Communicator::finalize() {
  engine_->drainAsync();
  if (replanner_ != nullptr) replanner_->stop();
  const Status status = engine_->failure();
  engine_->leave();
  control_->announceLeave();
  return status;
}

void Communicator::abort(const Status& why) {
  engine_->abort(why);
  control_->announceAbort(engine_->failure().text());  // the first cause, where there was one
}

Status Communicator::asyncStatus() {
  if (engine_->hasFailed()) return engine_->failure();
  if (auto status = externalFailure(); !status.isOk()) return status;
  if (!config_.isBlocking && engine_->hasAsync()) {
    return {Code::kInProgress, 0, "operations are under way"};
  }
  return {};
}

Status Communicator::externalFailure() const {
  if (!control_->hasFailed()) return {};
  const auto failure = control_->failure();
  if (!failure) return {};
  const int id = failure->isAbort ? base::kErrPeerAborted : base::kErrPeerDied;
  return {Code::kRemoteError, id,
          fmt::format("{} {}: {}", describeRank(failure->rank),
                      failure->isAbort ? "aborted" : "is gone", failure->reason)};
}

std::string Communicator::describeRank(ir::Rank rank) const {
  if (rank < 0 || rank >= world_.size()) return fmt::format("rank {}", rank);
  const auto& info = world_.ranks[static_cast<size_t>(rank)];
  return fmt::format("rank {} (process {} on {})", rank, info.pid, info.hostName);
}

base::Result<InitArgs> Communicator::splitArgs(int color, int key, const CommConfig& config) {
  TUTTI_ASSIGN_OR_RETURN(const auto entries, control_->allGather(fmt::format("{} {}", color, key)));
  struct Member {
    int key;
    ir::Rank rank;
    bool operator<(const Member& other) const {
      return key != other.key ? key < other.key : rank < other.rank;
    }
  };
  std::vector<Member> members;
  for (ir::Rank rank = 0; rank < size(); ++rank) {
    int theirColor = 0;
    int theirKey = 0;
    if (std::sscanf(entries[static_cast<size_t>(rank)].c_str(), "%d %d", &theirColor, &theirKey) !=
        2) {
      return Status(Code::kInternalError, base::kErrInternal,
                    fmt::format("rank {} sent a malformed colour", rank));
    }
    if (theirColor == color) members.push_back({theirKey, rank});
  }
  std::sort(members.begin(), members.end());
  const bool isLeader = color >= 0 && members.front().rank == rank_;
  std::string mine;
  Status served;
  if (isLeader) {
    // A rendezvous of its own, also where TUTTI_ADDR names the one of the launch.
    const auto id = bootstrap::createServedId();
    served = id.status();
    if (id.isOk()) mine.assign(reinterpret_cast<const char*>(id->bytes.data()), id->bytes.size());
  }
  // Also after a failure: the others wait for it.
  TUTTI_ASSIGN_OR_RETURN(const auto ids, control_->allGather(mine));
  TUTTI_RETURN_IF_ERROR(served);
  InitArgs args;
  args.config = config;
  args.size = color >= 0 ? static_cast<int>(members.size()) : 0;
  if (color < 0) return args;
  const auto& text = ids[static_cast<size_t>(members.front().rank)];
  bootstrap::UniqueId id;
  if (text.size() != id.bytes.size()) {
    return Status(
        Code::kRemoteError, base::kErrInternal,
        fmt::format("rank {} could not serve the new communicator", members.front().rank));
  }
  std::copy_n(reinterpret_cast<const std::byte*>(text.data()), text.size(), id.bytes.begin());
  args.ids.push_back(id);
  const auto self = std::find_if(members.begin(), members.end(),
                                 [&](const Member& member) { return member.rank == rank_; });
  args.rank = static_cast<int>(self - members.begin());
  return args;
}

}  // namespace tutti::comm
