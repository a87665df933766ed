// What a rank's own threads call; they wait here while the reactor works.
#include "src/bootstrap/plane.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <thread>

#include <fmt/format.h>

#include "src/base/clock.h"
#include "src/base/errors.h"
#include "src/base/log.h"

namespace tutti::bootstrap {

using base::Code;
using base::Status;

namespace {

constexpr int64_t kAbortPollNs = 50 * kMs;
// How long a timed-out wait may take longer to learn who is missing.
constexpr int64_t kAskNs = 500 * kMs;
constexpr int64_t kFlushNs = 100 * kMs;

int64_t deadlineAfter(std::chrono::milliseconds timeout) {
  return timeout.count() == 0 ? std::numeric_limits<int64_t>::max()
                              : base::nowNs() + timeout.count() * kMs;
}

base::Key combineSecrets(const std::vector<IdContent>& ids) {
  base::Key secret = ids.front().secret;
  for (size_t i = 1; i < ids.size(); ++i)
    secret = base::keyedHash(secret, {base::asText(ids[i].secret)});
  return secret;
}

std::string inSeconds(std::chrono::milliseconds time) {
  return fmt::format("{:.3g} s", static_cast<double>(time.count()) / 1000.0);
}

}  // namespace

Plane::Plane(Reactor& reactor, const JoinOptions& options, std::vector<IdContent> ids, int fanOut)
    : reactor_(reactor),
      rank_(options.rank),
      size_(options.size),
      fanOut_(fanOut),
      timeout_(options.timeout),
      startNs_(base::nowNs()),
      ids_(std::move(ids)),
      secret_(combineSecrets(ids_)) {}

template <typename Ready>
bool Plane::waitUntil(std::unique_lock<std::mutex>& lock, int64_t deadlineNs,
                      const std::atomic<bool>* isAborted, const Ready& isReady) {
  while (!isReady()) {
    if (isAborted != nullptr && isAborted->load(std::memory_order_relaxed)) return false;
    const int64_t left = deadlineNs - base::nowNs();
    if (left <= 0) return false;
    const int64_t most = isAborted != nullptr ? kAbortPollNs : 3600 * 1000 * kMs;
    changed_.wait_for(lock, std::chrono::nanoseconds(std::min(left, most)));
  }
  return true;
}

Status Plane::join(const std::atomic<bool>* isAborted) {
  reactor_.post([self = shared_from_this()] { self->start(); });
  const auto isOver = [&] { return isJoined_ || !broken_.isOk() || failure_.has_value(); };
  Status status;
  {
    std::unique_lock lock(mutex_);
    if (!waitUntil(lock, deadlineAfter(timeout_), isAborted, isOver)) {
      if (isAborted != nullptr && isAborted->load()) {
        status = Status(Code::kInvalidUsage, base::kErrJoinAborted,
                        "another thread aborted the communicator");
      } else {
        lock.unlock();
        reactor_.post([self = shared_from_this()] { self->askWhoIsMissing(); });
        lock.lock();
        const bool isTold = waitUntil(lock, base::nowNs() + kAskNs, isAborted,
                                      [&] { return missing_.has_value() || isOver(); });
        if (!isTold || missing_.has_value()) status = joinTimeout();
      }
    }
    if (status.isOk() && !isJoined_) status = broken_.isOk() ? failureStatus() : broken_;
  }
  if (!status.isOk()) {
    reactor_.call([&] {
      status = withCause(status);
      giveUp(status);
    });
    // The rendezvous hangs up once it has told the others. It may be this process, which may end
    // when this returns.
    {
      std::unique_lock lock(mutex_);
      waitUntil(lock, base::nowNs() + kFlushNs, nullptr, [&] { return unanswered_ == 0; });
    }
    reactor_.call([&] { closeAll(); });
  }
  return status;
}

// With mutex_ held.
Status Plane::joinTimeout() {
  if (missing_.has_value() && !missing_->empty()) {
    return {Code::kTimeout, base::kErrJoinTimeout,
            fmt::format("{} of {} {} not joined after {}; look whether they run and were given "
                        "this id",
                        describeRanks(*missing_), size_, missing_->size() == 1 ? "has" : "have",
                        inSeconds(timeout_))};
  }
  if (!broken_.isOk()) return broken_;
  return {
      Code::kTimeout, base::kErrJoinTimeout,
      fmt::format("not all of {} ranks have joined after {}; those that have are connected, but "
                  "some have not finished",
                  size_, inSeconds(timeout_))};
}

base::Result<std::vector<std::string>> Plane::allGather(std::string_view mine) {
  if (mine.size() > kMaxValueBytes) {
    return Status(Code::kInvalidArgument, base::kErrValueTooLarge,
                  fmt::format("a control value of {} bytes exceeds 16 MiB", mine.size()));
  }
  std::unique_lock lock(mutex_);
  if (failure_.has_value()) return failureStatus();
  if (!broken_.isOk()) return broken_;
  const uint32_t number = nextNumber_++;
  awaited_ = number;
  result_.reset();
  missing_.reset();
  lock.unlock();
  reactor_.post([self = shared_from_this(), number, value = std::string(mine)]() mutable {
    self->contribute(number, std::move(value));
  });
  const auto isOver = [&] {
    return result_.has_value() || failure_.has_value() || !broken_.isOk();
  };
  lock.lock();
  if (!waitUntil(lock, deadlineAfter(timeout_), nullptr, isOver)) {
    reactor_.post([self = shared_from_this(), number] { self->ask(number); });
    waitUntil(lock, base::nowNs() + kAskNs, nullptr,
              [&] { return missing_.has_value() || isOver(); });
    if (!isOver()) {
      const std::string who = missing_.has_value() && !missing_->empty()
                                  ? describeRanks(*missing_)
                                  : std::string("some ranks");
      broken_ = Status(Code::kTimeout, base::kErrCollectiveTimeout,
                       fmt::format("{} of {} did not arrive at control exchange #{} within {}", who,
                                   size_, number, inSeconds(timeout_)));
    }
  }
  awaited_.reset();
  // A result that is there counts, even if a peer failed right after.
  if (result_.has_value()) return std::move(*result_);
  return failure_.has_value() ? failureStatus() : broken_;
}

std::array<std::byte, 32> Plane::deriveToken(std::string_view label) const {
  return base::keyedHash(secret_, {"tutti token", base::asText(session_), label});
}

std::optional<PeerFailure> Plane::failure() const {
  const std::lock_guard lock(mutex_);
  return failure_;
}

Status Plane::failureStatus() const {
  if (!failure_.has_value()) {
    return {Code::kInternalError, base::kErrInternal, "a wait of the control plane ended early"};
  }
  const int id = failureKind_ == FailureKind::kAborted  ? base::kErrPeerAborted
                 : failureKind_ == FailureKind::kSilent ? base::kErrPeerSilent
                                                        : base::kErrPeerDied;
  const std::string_view verb = failureKind_ == FailureKind::kAborted  ? "gave up"
                                : failureKind_ == FailureKind::kSilent ? "is silent"
                                                                       : "died";
  return {Code::kRemoteError, id,
          fmt::format("rank {} {}: {}", failure_->rank, verb, failure_->reason)};
}

void Plane::breakWith(const Status& reason) {
  const std::lock_guard lock(mutex_);
  if (broken_.isOk()) broken_ = reason;
  changed_.notify_all();
}

void Plane::waitForFlush() {
  const int64_t deadline = base::nowNs() + kFlushNs;
  bool isDone = false;
  while (true) {
    reactor_.call([&] { isDone = isFlushed(); });
    if (isDone || base::nowNs() > deadline) return;
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
}

void Plane::announceAbort(std::string_view reason) {
  const std::string text(reason);
  reactor_.call([&] {
    const std::string full = fmt::format("{}: {}", describe(rank_), text);
    failed_.insert(rank_);
    WireWriter out;
    out.u32(static_cast<uint32_t>(rank_));
    out.u8(static_cast<uint8_t>(FailureKind::kAborted));
    out.text(full);
    spread(nullptr, kFrameFailure, out.take(), true);
    breakWith({Code::kInvalidUsage, base::kErrUseAfterFailure, "this rank aborted: " + text});
  });
  waitForFlush();
}

void Plane::announceLeave() {
  reactor_.call([&] { onLeave(nullptr, rank_); });
}

void Plane::listen(NoteListener* listener, std::chrono::milliseconds tick) {
  reactor_.call([&] {
    reactor_.cancel(tickTimer_);
    listener_ = listener;
    tickNs_ = tick.count() * kMs;
    if (listener_ != nullptr) scheduleTick();
  });
}

void Plane::note(std::string_view text) {
  reactor_.post([self = shared_from_this(), text = std::string(text)] { self->sendNote(text); });
}

void Plane::release() {
  waitForFlush();
  reactor_.call([&] {
    isReleased_ = true;
    endIfUnneeded();
  });
}

}  // namespace tutti::bootstrap
