#include "src/comm/replanner.h"

#include <algorithm>
#include <utility>

#include "src/base/clock.h"
#include "topology/routes.h"

namespace tutti::comm {

using Kind = ReplanNote::Kind;
using transports::Arrivals;

namespace {

constexpr std::chrono::milliseconds kTick(250);
constexpr int64_t kLookNs = 500'000'000;
// Of the time that was looked at, this part a way must have been full to prove anything.
constexpr int64_t kEnough = 10;
// A way that flows share is slower for each of them: what rank 0 found to be so is not asked again
// for so long.
constexpr int64_t kAcceptedNs = 30'000'000'000;

int64_t rateOfArrivals(const Arrivals& before, const Arrivals& now) {
  const int64_t ns = std::max<int64_t>(1, now.ns - before.ns);
  return static_cast<int64_t>(now.bytes - before.bytes) * 1'000'000 / ns;
}

int64_t narrowest(const topology::Topology& topology, topology::RouteTable& routes, ir::Rank from,
                  ir::Rank to) {
  const auto links = routes.find(from, to, 0, 0);
  if (!links.isOk()) return 0;
  int64_t least = topology::kMostCapacity;
  for (const auto link : *links) {
    least = std::min(least, topology.links[static_cast<size_t>(link)].capacity);
  }
  return least;
}

}  // namespace

Replanner::Replanner(bootstrap::ControlPlane& control, ReplanOptions options)
    : control_(control),
      options_(std::move(options)),
      topology_(options_.topology),
      seen_(options_.remotes.size()) {
  if (control.rank() == 0) {
    leader_ = std::make_unique<ReplanLeader>(control.size(), topology_, options_.permille);
  }
  expect();
  for (Seen& seen : seen_) seen.planned = seen.expected;
  lookedNs_ = drilledNs_ = base::nowNs();
  const bool isDrilling = options_.drill.count() > 0;
  control_.listen(this, isDrilling ? std::min(kTick, options_.drill) : kTick);
}

void Replanner::start() {
  if (leader_ == nullptr) control_.note(toText({.kind = Kind::kHello}));
}

Replanner::~Replanner() { stop(); }

void Replanner::stop() {
  if (std::exchange(hasStopped_, true)) return;
  control_.listen(nullptr, kTick);  // from here on all is this thread's
  if (leader_ == nullptr) return control_.note(toText({.kind = Kind::kBye}));
  leader_->stop();
  for (const ReplanNote& note : leader_->take()) control_.note(toText(note));
}

void Replanner::onNote(int from, std::string_view text) {
  const auto note = parseReplanNote(text);
  if (!note) return;
  if (leader_ == nullptr) return follow(*note);
  leader_->onNote(from, *note, base::nowNs());
  lead();
}

void Replanner::onTick() {
  if (control_.hasFailed()) return;
  const int64_t now = base::nowNs();
  if (leader_ != nullptr) {
    leader_->onNote(0, {.kind = Kind::kHello}, now);
    leader_->onTick(now);
    drill(now);
  }
  if (options_.permille > 0 && now - lookedNs_ >= kLookNs) look(now);
  if (watchRound_ != 0 && now - watchNs_ >= ReplanLeader::kWatchNs) report(now);
  lead();
}

// What rank 0 says to all it says to itself as well, and may say more then.
void Replanner::lead() {
  if (leader_ == nullptr) return;
  for (auto notes = leader_->take(); !notes.empty(); notes = leader_->take()) {
    for (const ReplanNote& note : notes) {
      control_.note(toText(note));
      follow(note);
    }
  }
}

void Replanner::send(ReplanNote note) {
  if (leader_ != nullptr) return leader_->onNote(0, note, base::nowNs());
  control_.note(toText(note));
}

void Replanner::follow(const ReplanNote& note) {
  if (note.kind == Kind::kWatch) {
    watchRound_ = note.round;
    watchNs_ = base::nowNs();
    for (size_t rank = 0; rank < seen_.size(); ++rank) {
      const auto* remote = options_.remotes[rank];
      if (remote != nullptr) seen_[rank].atWatch = remote->arrivals();
    }
  } else if (note.kind == Kind::kHold) {
    const auto answer = gate_.hold(note.round);
    if (!answer) return;
    send({.kind = Kind::kAnswer,
          .round = note.round,
          .number = answer->next,
          .isPending = answer->isPending});
  } else if (note.kind == Kind::kDecide && isSound(note)) {
    acceptedUntilNs_ = 0;
    topology_ = topology::changed(std::move(topology_), note.changes);
    expect();
    gate_.decide({note.round, note.number, topology_, note.reason});
  } else if (note.kind == Kind::kAsPlanned && note.round == reportedRound_) {
    for (Seen& seen : seen_) seen.accepted = seen.reported;
    acceptedUntilNs_ = base::nowNs() + kAcceptedNs;
  } else if (note.kind == Kind::kGiveUp) {
    gate_.giveUp(note.round);
  }
}

bool Replanner::isSound(const ReplanNote& note) const {
  return std::all_of(note.changes.begin(), note.changes.end(), [&](const auto& change) {
    return change.link >= 0 && static_cast<size_t>(change.link) < topology_.links.size() &&
           change.capacity > 0 && change.capacity <= topology::kMostCapacity;
  });
}

// What the way from each peer carries if it has it for itself.
void Replanner::expect() {
  auto routes = topology::RouteTable::make(topology_);
  if (!routes.isOk()) return;
  for (size_t rank = 0; rank < seen_.size(); ++rank) {
    if (options_.remotes[rank] == nullptr) continue;
    seen_[rank].expected =
        narrowest(topology_, *routes, static_cast<ir::Rank>(rank), control_.rank());
  }
}

bool Replanner::isAsExpected(const Seen& seen, const Arrivals& now, int64_t ns) const {
  if ((now.ns - seen.atTick.ns) * kEnough < ns) return true;
  const int64_t rate = rateOfArrivals(seen.atTick, now);
  const bool isAccepted = seen.accepted > 0 && lookedNs_ < acceptedUntilNs_;
  const int64_t least = isAccepted ? std::min(seen.expected, seen.accepted) : seen.expected;
  const bool isSlow = rate * 1000 < least * options_.permille;
  const bool isFast = seen.expected < seen.planned && topology::isFasterThan(seen.expected, rate);
  return !isSlow && !isFast;
}

// Only rank 0, who hears of all, can judge.
void Replanner::look(int64_t nowNs) {
  bool isAsPlanned = true;
  for (size_t rank = 0; rank < seen_.size(); ++rank) {
    const auto* remote = options_.remotes[rank];
    if (remote == nullptr) continue;
    const Arrivals now = remote->arrivals();
    isAsPlanned &= isAsExpected(seen_[rank], now, nowNs - lookedNs_);
    seen_[rank].atTick = now;
  }
  lookedNs_ = nowNs;
  if (!isAsPlanned) send({.kind = Kind::kSlow});
}

void Replanner::report(int64_t nowNs) {
  reportedRound_ = std::exchange(watchRound_, 0);
  ReplanNote note{.kind = Kind::kReport, .round = reportedRound_};
  for (size_t rank = 0; rank < seen_.size(); ++rank) {
    const auto* remote = options_.remotes[rank];
    if (remote == nullptr) continue;
    const Arrivals now = remote->arrivals();
    const Arrivals& before = seen_[rank].atWatch;
    seen_[rank].reported = 0;
    if (now.bytes == before.bytes) continue;
    seen_[rank].reported = rateOfArrivals(before, now);
    const auto from = static_cast<ir::Rank>(rank);
    note.flows.push_back({from, control_.rank(), now.bytes - before.bytes,
                          std::min(now.ns - before.ns, nowNs - watchNs_)});
  }
  send(std::move(note));
}

// One link after the other a quarter of what it is, and back.
void Replanner::drill(int64_t nowNs) {
  if (options_.drill.count() == 0 || nowNs - drilledNs_ < options_.drill.count() * 1'000'000) {
    return;
  }
  drilledNs_ = nowNs;
  const auto& links = options_.topology.links;
  const size_t link = drills_ / 2 % links.size();
  const int64_t capacity = links[link].capacity;
  const bool isSlow = drills_++ % 2 == 0;
  leader_->propose({{static_cast<topology::LinkIndex>(link),
                     isSlow ? std::max<int64_t>(1, capacity / 4) : capacity}},
                   "a drill (TUTTI_REPLAN_DRILL)", nowNs);
}

}  // namespace tutti::comm
