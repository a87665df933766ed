#include "src/comm/replan_leader.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

namespace tutti::comm {

using topology::LinkChange;
using Kind = ReplanNote::Kind;

namespace {

constexpr int64_t kSecond = 1'000'000'000;
// After looking in vain; doubled each time.
constexpr int64_t kLeastRestNs = kSecond;
constexpr int64_t kMostRestNs = 5 * kSecond;
// Between two decisions; doubled where the last was not long ago.
constexpr int64_t kLeastPauseNs = 5 * kSecond;
constexpr int64_t kMostPauseNs = 300 * kSecond;
// A slow link that no plan uses any more shows nothing, so it is tried again after this time;
// doubled each time it was in vain.
constexpr int64_t kLeastRetryNs = 60 * kSecond;
constexpr int64_t kMostRetryNs = 3600 * kSecond;
constexpr const char* kRetryReason = "links that were slow are tried again";

}  // namespace

ReplanLeader::ReplanLeader(int size, topology::Topology topology, int64_t permille)
    : size_(static_cast<size_t>(size)),
      planned_(topology),
      now_(std::move(topology)),
      permille_(permille),
      restNs_(kLeastRestNs),
      pauseNs_(kLeastPauseNs),
      retryNs_(kLeastRetryNs) {}

void ReplanLeader::say(Kind kind) { notes_.push_back({.kind = kind, .round = round_}); }

void ReplanLeader::onNote(int from, const ReplanNote& note, int64_t nowNs) {
  if (hasStopped_) return;
  if (note.kind == Kind::kHello) heard_.insert(from);
  if (note.kind == Kind::kBye) return stop();
  if (note.kind == Kind::kSlow && isReady() && nowNs >= quietUntilNs_) return watch(nowNs);
  if (note.round != round_ || state_ == State::kIdle) return;
  const bool isReport = note.kind == Kind::kReport && state_ == State::kWatching;
  const bool isAnswer = note.kind == Kind::kAnswer && state_ == State::kAsking;
  if ((!isReport && !isAnswer) || !answered_.insert(from).second) return;
  flows_.insert(flows_.end(), note.flows.begin(), note.flows.end());
  latest_ = std::max(latest_, note.number);
  isPending_ |= note.isPending;
  if (answered_.size() < size_) return;
  if (isReport) return judge(nowNs);
  decide(nowNs);
}

void ReplanLeader::onTick(int64_t nowNs) {
  if (hasStopped_) return;
  if (state_ != State::kIdle && nowNs - sinceNs_ > kPatienceNs) {
    giveUp();
    rest(nowNs);
  }
  if (decidedNs_ != 0 && isReady() && nowNs - decidedNs_ > retryNs_) tryAgain(nowNs);
}

void ReplanLeader::watch(int64_t nowNs) {
  ++round_;
  state_ = State::kWatching;
  sinceNs_ = nowNs;
  answered_.clear();
  flows_.clear();
  say(Kind::kWatch);
}

void ReplanLeader::rest(int64_t nowNs) {
  suspects_.clear();
  quietUntilNs_ = std::max(quietUntilNs_, nowNs + restNs_);
  restNs_ = std::min(2 * restNs_, kMostRestNs);
}

void ReplanLeader::judge(int64_t nowNs) {
  state_ = State::kIdle;
  auto changes = topology::slowLinks(now_, planned_, flows_,
                                     {.leastNs = kWatchNs / 10, .permille = permille_});
  if (!changes.isOk() || changes->empty()) {
    say(Kind::kAsPlanned);
    return rest(nowNs);
  }
  const bool isConfirmed = std::any_of(changes->begin(), changes->end(), [&](const auto& change) {
    return suspects_.contains(change.link);
  });
  suspects_.clear();
  for (const LinkChange& change : *changes) suspects_.insert(change.link);
  if (!isConfirmed) return watch(nowNs);
  std::string reason = describe(*changes);
  propose(changes.take(), std::move(reason), nowNs);
}

std::string ReplanLeader::describe(const std::vector<LinkChange>& changes) const {
  constexpr size_t kShown = 4;
  const auto nodeText = [&](topology::NodeIndex index) {
    const auto& node = now_.nodes[static_cast<size_t>(index)];
    return node.host.empty() ? node.id : fmt::format("{} on {}", node.id, node.host);
  };
  std::string text;
  for (size_t i = 0; i < std::min(kShown, changes.size()); ++i) {
    const auto& link = now_.links[static_cast<size_t>(changes[i].link)];
    text += fmt::format("{}link {} -> {} at {} of {} GB/s", i == 0 ? "" : ", ", nodeText(link.from),
                        nodeText(link.to), topology::gigabytesText(changes[i].capacity),
                        topology::gigabytesText(link.capacity));
  }
  if (changes.size() > kShown) text += fmt::format(" and {} more", changes.size() - kShown);
  return text;
}

void ReplanLeader::propose(std::vector<LinkChange> changes, std::string reason, int64_t nowNs) {
  if (!isReady()) return;
  ++round_;
  state_ = State::kAsking;
  sinceNs_ = nowNs;
  answered_.clear();
  latest_ = 0;
  isPending_ = false;
  changes_ = std::move(changes);
  reason_ = std::move(reason);
  say(Kind::kHold);
}

void ReplanLeader::decide(int64_t nowNs) {
  // Where a rank has not come to the last decision, this one would overtake it.
  if (isPending_) {
    giveUp();
    return rest(nowNs);
  }
  state_ = State::kIdle;
  notes_.push_back({.kind = Kind::kDecide,
                    .round = round_,
                    .number = latest_ + 1,
                    .changes = changes_,
                    .reason = reason_});
  now_ = topology::changed(std::move(now_), changes_);
  const bool wasInVain = triedNs_ != 0 && nowNs - triedNs_ < kLeastRetryNs / 2;
  if (wasInVain && reason_ != kRetryReason) {
    retryNs_ = std::min(2 * retryNs_, kMostRetryNs);
    triedNs_ = 0;
  }
  const bool isSoon = decidedNs_ != 0 && nowNs - decidedNs_ < 4 * pauseNs_;
  pauseNs_ = isSoon ? std::min(2 * pauseNs_, kMostPauseNs) : kLeastPauseNs;
  decidedNs_ = nowNs;
  quietUntilNs_ = nowNs + pauseNs_;
  restNs_ = kLeastRestNs;
  suspects_.clear();
}

void ReplanLeader::tryAgain(int64_t nowNs) {
  std::vector<LinkChange> changes;
  for (size_t i = 0; i < now_.links.size(); ++i) {
    if (now_.links[i].capacity == planned_.links[i].capacity) continue;
    changes.push_back({static_cast<topology::LinkIndex>(i), planned_.links[i].capacity});
  }
  if (changes.empty()) return;
  triedNs_ = nowNs;
  propose(std::move(changes), kRetryReason, nowNs);
}

void ReplanLeader::giveUp() {
  if (state_ == State::kAsking) say(Kind::kGiveUp);
  state_ = State::kIdle;
}

void ReplanLeader::stop() {
  giveUp();
  hasStopped_ = true;
}

}  // namespace tutti::comm
