// Max-min fair rates: flows on paths, which take from constraints (links, shared resources).
// Private to this room and its tests.
//
// Rates are max-min fair where every flow is either at its own bound or passes a constraint that is
// used up and in which no other flow is faster (Bertsekas, Gallager: Data Networks, 6.5.2). Each
// constraint keeps its level, the rate of those that it holds back (without end where it is not
// used up); a flow's rate is the least level on its path. Where flows come and go, only constraints
// that are overcommitted, or used up and now are not, find a new level, and so on from there: the
// work is that of the rates that change, not of the network, nor of the connected part of it.
// Levels end where progressive filling has them, in whatever order they are found (by induction
// over them: once the lowest have settled, the next one is right when it is next looked at).
//
// All numbers are integers: the same on every machine.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tutti::sim {

// Wide enough for a rate times a time.
__extension__ using Wide = __int128;

using Rate = int64_t;  // 2^-16 kB/s
inline constexpr int kRateBits = 16;
inline constexpr Rate kUnlimited = INT64_MAX;

using ConstraintIndex = int32_t;
using PathIndex = int32_t;

// A byte on the path takes `units` bytes of the constraint.
struct Use {
  ConstraintIndex constraint = 0;
  int32_t units = 1;
  bool operator==(const Use&) const = default;
};

class FairShare {
 public:
  // A constraint counts as used up from a load of (1 - 2^-toleranceBits) on; none is ever used
  // more than it has. Few bits end the ripples of each change sooner. 1 .. 40.
  explicit FairShare(int toleranceBits) : toleranceBits_(toleranceBits) {}

  // `capacity` in kB/s, positive.
  ConstraintIndex addConstraint(int64_t capacity);
  // Each constraint at most once; at least one. `cap` in kB/s bounds each flow; 0: it does not.
  PathIndex addPath(std::span<const Use> uses, int64_t cap);

  // `change` flows more on the path, or fewer. Takes effect with the next settle.
  void change(PathIndex path, int change);

  // Finds the rates. Returns the paths whose rates are new, each once, until the next call.
  std::span<const PathIndex> settle();

  // Of each flow on the path; 0 where there is none.
  Rate rate(PathIndex path) const { return paths_[static_cast<size_t>(path)].rate; }

  // Levels found so far: what settle has cost.
  uint64_t relaxations() const { return relaxations_; }

 private:
  struct Member {
    PathIndex path;
    int32_t units;
  };
  struct Constraint {
    Wide load = 0;  // of all flows at their rates
    Rate capacity = 0;
    Rate target = 0;  // the load that a level is made for
    Rate least = 0;   // the load from which on it is used up
    bool isQueued = false;
    std::vector<Member> members;  // paths with flows
  };
  struct Path {
    Rate rate = 0;
    Rate bound = 0;  // of a flow alone
    int32_t count = 0;
    int32_t wanted = 0;
    uint32_t useBegin = 0;
    uint32_t useEnd = 0;
    bool isTouched = false;
    bool isChanged = false;
  };
  struct PlacedUse {
    ConstraintIndex constraint;
    int32_t units;
    int32_t place;  // among the constraint's members
  };
  struct Share {
    Rate rate;  // that the rest of the path allows
    int64_t weight;
    PathIndex path;
  };

  std::span<PlacedUse> usesOf(const Path& path) {
    return {uses_.data() + path.useBegin, uses_.data() + path.useEnd};
  }
  Rate levelAt(ConstraintIndex index) const { return levels_[static_cast<size_t>(index)]; }
  Constraint& at(ConstraintIndex index) { return constraints_[static_cast<size_t>(index)]; }
  void applyCount(PathIndex index);
  void enter(PathIndex index);
  void leave(PathIndex index);
  Rate allowedBesides(const Path& path, ConstraintIndex constraint);
  bool needsLevel(ConstraintIndex index) const;
  void addLoad(ConstraintIndex index, Wide load);
  void relax(ConstraintIndex index);
  Rate levelOf(Wide room, int64_t weight);
  void setRate(PathIndex index, Rate rate);
  void noteChange(PathIndex index);

  int toleranceBits_;
  uint64_t relaxations_ = 0;
  std::vector<Constraint> constraints_;
  std::vector<Rate> levels_;  // of each; apart, because each relaxation reads many
  std::vector<Path> paths_;
  std::vector<PlacedUse> uses_;
  std::vector<PathIndex> touched_;
  std::vector<PathIndex> changed_;
  std::vector<ConstraintIndex> queue_;
  std::vector<Share> shares_;  // of the constraint at hand
};

}  // namespace tutti::sim
