#include "src/sim/fair_share.h"

#include <algorithm>
#include <utility>

namespace tutti::sim {

ConstraintIndex FairShare::addConstraint(int64_t capacity) {
  Constraint& added = constraints_.emplace_back();
  added.capacity = capacity << kRateBits;
  // Levels aim at the middle of what counts as used up, so that small changes either way leave
  // them alone.
  added.target = added.capacity - (added.capacity >> (toleranceBits_ + 1));
  added.least = added.capacity - (added.capacity >> toleranceBits_);
  levels_.push_back(kUnlimited);
  return static_cast<ConstraintIndex>(constraints_.size() - 1);
}

PathIndex FairShare::addPath(std::span<const Use> uses, int64_t cap) {
  Path& added = paths_.emplace_back();
  added.bound = cap > 0 ? cap << kRateBits : kUnlimited;
  added.useBegin = static_cast<uint32_t>(uses_.size());
  for (const Use& use : uses) {
    uses_.push_back({use.constraint, use.units, -1});
    added.bound = std::min(added.bound, std::max<Rate>(1, at(use.constraint).capacity / use.units));
  }
  added.useEnd = static_cast<uint32_t>(uses_.size());
  return static_cast<PathIndex>(paths_.size() - 1);
}

void FairShare::change(PathIndex path, int change) {
  Path& changed = paths_[static_cast<size_t>(path)];
  changed.wanted += change;
  if (changed.isTouched) return;
  changed.isTouched = true;
  touched_.push_back(path);
}

std::span<const PathIndex> FairShare::settle() {
  for (const PathIndex path : changed_) paths_[static_cast<size_t>(path)].isChanged = false;
  changed_.clear();
  for (const PathIndex path : touched_) applyCount(path);
  touched_.clear();
  for (size_t next = 0; next < queue_.size(); ++next) {
    at(queue_[next]).isQueued = false;
    if (needsLevel(queue_[next])) relax(queue_[next]);
  }
  queue_.clear();
  return changed_;
}

// A flow that took another's place on the same path changes nothing.
void FairShare::applyCount(PathIndex index) {
  Path& path = paths_[static_cast<size_t>(index)];
  path.isTouched = false;
  if (path.wanted == path.count) return;
  if (path.count == 0) enter(index);
  const int64_t more = path.wanted - path.count;
  path.count = path.wanted;
  for (const PlacedUse& use : usesOf(path)) {
    addLoad(use.constraint, Wide{path.rate} * more * use.units);
  }
  if (path.count == 0) leave(index);
}

void FairShare::enter(PathIndex index) {
  Path& path = paths_[static_cast<size_t>(index)];
  path.rate = path.bound;
  for (PlacedUse& use : usesOf(path)) {
    Constraint& constraint = at(use.constraint);
    use.place = static_cast<int32_t>(constraint.members.size());
    constraint.members.push_back({index, use.units});
    path.rate = std::min(path.rate, levelAt(use.constraint));
  }
  noteChange(index);
}

void FairShare::leave(PathIndex index) {
  Path& path = paths_[static_cast<size_t>(index)];
  path.rate = 0;
  noteChange(index);
  for (PlacedUse& use : usesOf(path)) {
    auto& members = at(use.constraint).members;
    const auto place = static_cast<size_t>(use.place);
    members[place] = members.back();
    members.pop_back();
    use.place = -1;
    if (place == members.size()) continue;
    for (PlacedUse& moved : usesOf(paths_[static_cast<size_t>(members[place].path)])) {
      if (moved.constraint == use.constraint) moved.place = static_cast<int32_t>(place);
    }
  }
}

bool FairShare::needsLevel(ConstraintIndex index) const {
  const Constraint& constraint = constraints_[static_cast<size_t>(index)];
  if (constraint.load > constraint.capacity) return true;
  return levelAt(index) != kUnlimited && constraint.load < constraint.least;
}

void FairShare::addLoad(ConstraintIndex index, Wide load) {
  Constraint& constraint = at(index);
  constraint.load += load;
  if (constraint.isQueued || !needsLevel(index)) return;
  constraint.isQueued = true;
  queue_.push_back(index);
}

Rate FairShare::allowedBesides(const Path& path, ConstraintIndex constraint) {
  Rate rate = path.bound;
  for (const PlacedUse& use : usesOf(path)) {
    if (use.constraint != constraint) rate = std::min(rate, levelAt(use.constraint));
  }
  return rate;
}

void FairShare::relax(ConstraintIndex index) {
  ++relaxations_;
  Constraint& constraint = at(index);
  shares_.clear();
  Wide wish = 0;
  int64_t weight = 0;
  for (const Member& member : constraint.members) {
    const Path& path = paths_[static_cast<size_t>(member.path)];
    const Rate rate = allowedBesides(path, index);
    const int64_t each = int64_t{path.count} * member.units;
    shares_.push_back({rate, each, member.path});
    wish += Wide{rate} * each;
    weight += each;
  }
  const Rate level = wish <= constraint.capacity ? kUnlimited : levelOf(constraint.target, weight);
  levels_[static_cast<size_t>(index)] = level;
  for (const Share& share : shares_) setRate(share.path, std::min(share.rate, level));
}

// The level at which flows that take min(what the rest of their path allows, level) fill `room`:
// those that are held back elsewhere are taken out until none is left among the rest.
Rate FairShare::levelOf(Wide room, int64_t weight) {
  size_t held = shares_.size();
  for (;;) {
    const Rate level = std::max<Rate>(1, static_cast<Rate>(room / weight));
    const size_t before = held;
    for (size_t at = 0; at < held;) {
      const Share share = shares_[at];
      if (share.rate >= level) {
        ++at;
        continue;
      }
      room -= Wide{share.rate} * share.weight;
      weight -= share.weight;
      std::swap(shares_[at], shares_[--held]);
    }
    if (held == before) return level;
  }
}

void FairShare::setRate(PathIndex index, Rate rate) {
  Path& path = paths_[static_cast<size_t>(index)];
  if (path.rate == rate) return;
  const Wide more = Wide{rate - path.rate} * path.count;
  path.rate = rate;
  for (const PlacedUse& use : usesOf(path)) addLoad(use.constraint, more * use.units);
  noteChange(index);
}

void FairShare::noteChange(PathIndex index) {
  Path& path = paths_[static_cast<size_t>(index)];
  if (path.isChanged) return;
  path.isChanged = true;
  changed_.push_back(index);
}

}  // namespace tutti::sim
