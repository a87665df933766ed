#include "src/plan/traffic.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <span>
#include <tuple>
#include <utility>

#include "src/base/errors.h"
#include "src/plan/index.h"

namespace tutti::plan {
namespace {

using base::Code;
using base::Status;
using ir::Collective;
using ir::Rank;

// Places 0 .. size-1 of an algorithm.
class Pattern {
 public:
  explicit Pattern(int size) : size_(size) {}

  int size() const { return size_; }
  void send(int from, int to, int64_t share) {
    if (from == to || share == 0) return;
    traffic.messages.push_back({from, (to % size_ + size_) % size_, share, phase_});
  }
  // What follows is sent after what was sent so far.
  void nextPhase() { ++phase_; }

  Traffic traffic;

 private:
  int size_;
  int32_t phase_ = 0;
};

int ceilLog2(int size) { return std::bit_width(static_cast<unsigned>(size) - 1); }
int powerBelow(int size) { return static_cast<int>(std::bit_floor(static_cast<unsigned>(size))); }

void everyPair(Pattern& pattern, int64_t share) {
  for (int from = 0; from < pattern.size(); ++from) {
    for (int to = 0; to < pattern.size(); ++to) pattern.send(from, to, share);
  }
}

void oneShot(Pattern& pattern) {
  everyPair(pattern, 1);
  pattern.traffic.steps = 1;
}

// Every rank combines its block and gives it to all: two blocks to every peer.
void twoShot(Pattern& pattern) {
  pattern.traffic.shares = pattern.size();
  everyPair(pattern, 2);
  pattern.traffic.steps = 2;
}

void exchange(Pattern& pattern) {
  pattern.traffic.shares = pattern.size();
  everyPair(pattern, 1);
  pattern.traffic.steps = 1;
}

void ring(Pattern& pattern, int rounds) {
  pattern.traffic.shares = pattern.size();
  for (int place = 0; place < pattern.size(); ++place) pattern.send(place, place + 1, rounds);
  pattern.traffic.steps = rounds;
}

void allReduceRing(Pattern& pattern) { ring(pattern, 2 * (pattern.size() - 1)); }
void oneRing(Pattern& pattern) { ring(pattern, pattern.size() - 1); }

// Of 2 * extra places at the front, each even one is folded into the next (Rabenseifner).
struct Fold {
  explicit Fold(int size) : power(powerBelow(size)), extra(size - power) {}
  int place(int number) const { return number < extra ? 2 * number + 1 : number + extra; }
  int power;
  int extra;
};

// Calls give(distance) for every distance of partners, and lets both of each pair send that: a
// phase each.
template <class Give>
void partners(Pattern& pattern, const Fold& fold, Give give) {
  for (int distance = 1; distance < fold.power; distance *= 2) {
    for (int number = 0; number < fold.power; ++number) {
      pattern.send(fold.place(number), fold.place(number ^ distance), give(distance));
    }
    pattern.nextPhase();
  }
}

void unfold(Pattern& pattern, const Fold& fold, int64_t whole) {
  for (int pair = 0; pair < fold.extra; ++pair) pattern.send(2 * pair, 2 * pair + 1, whole);
  pattern.nextPhase();
  for (int pair = 0; pair < fold.extra; ++pair) pattern.send(2 * pair + 1, 2 * pair, whole);
  if (fold.extra > 0) pattern.traffic.steps += 2;
}

void recursiveDoubling(Pattern& pattern) {
  const Fold fold(pattern.size());
  pattern.traffic.steps = ceilLog2(fold.power);
  partners(pattern, fold, [](int) { return 1; });
  unfold(pattern, fold, 1);
}

void halvingDoubling(Pattern& pattern) {
  const Fold fold(pattern.size());
  pattern.traffic.shares = fold.power;
  pattern.traffic.steps = 2 * ceilLog2(fold.power);
  partners(pattern, fold, [](int distance) { return 2 * distance; });
  unfold(pattern, fold, fold.power);
}

// Powers of two: with the partner at a distance, as many blocks.
void doubling(Pattern& pattern) {
  pattern.traffic.shares = pattern.size();
  pattern.traffic.steps = ceilLog2(pattern.size());
  partners(pattern, Fold(pattern.size()), [](int distance) { return distance; });
}

void bruck(Pattern& pattern) {
  pattern.traffic.shares = pattern.size();
  pattern.traffic.steps = ceilLog2(pattern.size());
  for (int distance = 1; distance < pattern.size(); distance *= 2) {
    const int blocks = std::min(distance, pattern.size() - distance);
    for (int place = 0; place < pattern.size(); ++place) {
      pattern.send(place, place - distance + pattern.size(), blocks);
    }
    pattern.nextPhase();
  }
}

// Over each power of two the blocks whose offset it divides last (src/schedule/templates_pat.cc).
// reduce_scatter sends the same the other way.
void pat(Pattern& pattern, int direction) {
  const int size = pattern.size();
  pattern.traffic.shares = size;
  pattern.traffic.steps = ceilLog2(size);
  for (int distance = 1; distance < size; distance *= 2) {
    const int blocks = (size + distance - 1) / (2 * distance);
    for (int place = 0; place < size; ++place) {
      pattern.send(place, place + direction * distance, blocks);
    }
  }
}

void patDown(Pattern& pattern) { pat(pattern, 1); }
void patUp(Pattern& pattern) { pat(pattern, -1); }

void fromRoot(Pattern& pattern) {
  for (int to = 1; to < pattern.size(); ++to) pattern.send(0, to, 1);
  pattern.traffic.steps = 1;
}

void toRoot(Pattern& pattern) {
  for (int from = 1; from < pattern.size(); ++from) pattern.send(from, 0, 1);
  pattern.traffic.steps = 1;
}

void scatterBlocks(Pattern& pattern) {
  fromRoot(pattern);
  pattern.traffic.shares = pattern.size();
}

void gatherBlocks(Pattern& pattern) {
  toRoot(pattern);
  pattern.traffic.shares = pattern.size();
}

void chainDown(Pattern& pattern) {
  for (int place = 0; place + 1 < pattern.size(); ++place) pattern.send(place, place + 1, 1);
  pattern.traffic.steps = pattern.size() - 1;
}

void chainUp(Pattern& pattern) {
  for (int place = 0; place + 1 < pattern.size(); ++place) pattern.send(place + 1, place, 1);
  pattern.traffic.steps = pattern.size() - 1;
}

// The root deals out a block to each other rank, and these exchange them.
void scatterAllGather(Pattern& pattern) {
  pattern.traffic.shares = pattern.size() - 1;
  for (int to = 1; to < pattern.size(); ++to) pattern.send(0, to, 1);
  pattern.nextPhase();
  for (int from = 1; from < pattern.size(); ++from) {
    for (int to = 1; to < pattern.size(); ++to) pattern.send(from, to, 1);
  }
  pattern.traffic.steps = 2;
}

struct PatternRow {
  Collective collective;
  std::string_view name;
  void (*fill)(Pattern&);
  bool needsPowerOfTwo = false;
};

constexpr PatternRow kRows[] = {
    {Collective::kAllReduce, "one_shot", oneShot},
    {Collective::kAllReduce, "two_shot", twoShot},
    {Collective::kAllReduce, "recursive_doubling", recursiveDoubling},
    {Collective::kAllReduce, "halving_doubling", halvingDoubling},
    {Collective::kAllReduce, "ring", allReduceRing},
    {Collective::kReduce, "one_shot", toRoot},
    {Collective::kReduce, "chain", chainUp},
    {Collective::kBroadcast, "one_shot", fromRoot},
    {Collective::kBroadcast, "chain", chainDown},
    {Collective::kBroadcast, "scatter_all_gather", scatterAllGather},
    {Collective::kAllGather, "exchange", exchange},
    {Collective::kAllGather, "ring", oneRing},
    {Collective::kAllGather, "bruck", bruck},
    {Collective::kAllGather, "recursive_doubling", doubling, true},
    {Collective::kAllGather, "pat", patDown},
    {Collective::kReduceScatter, "exchange", exchange},
    {Collective::kReduceScatter, "ring", oneRing},
    {Collective::kReduceScatter, "halving", doubling, true},
    {Collective::kReduceScatter, "pat", patUp},
    {Collective::kAllToAll, "exchange", exchange},
    {Collective::kGather, "exchange", gatherBlocks},
    {Collective::kScatter, "exchange", scatterBlocks},
};

// A pair that meets more than once in a phase gets one message.
void mergePairs(Traffic& traffic) {
  auto& all = traffic.messages;
  const auto key = [](const Message& each) { return std::tie(each.phase, each.from, each.to); };
  std::sort(all.begin(), all.end(),
            [&](const Message& a, const Message& b) { return key(a) < key(b); });
  size_t kept = 0;
  for (size_t i = 0; i < all.size(); ++i) {
    if (kept > 0 && key(all[kept - 1]) == key(all[i])) {
      all[kept - 1].share += all[i].share;
    } else {
      all[kept++] = all[i];
    }
  }
  all.resize(kept);
}

// To how many others the busiest rank sends.
int32_t postsOf(const Traffic& traffic, size_t size) {
  std::vector<std::pair<Rank, Rank>> pairs;
  for (const Message& each : traffic.messages) pairs.emplace_back(each.from, each.to);
  std::sort(pairs.begin(), pairs.end());
  pairs.erase(std::unique(pairs.begin(), pairs.end()), pairs.end());
  std::vector<int32_t> posts(size);
  for (const auto& [from, to] : pairs) ++posts[at(from)];
  return *std::max_element(posts.begin(), posts.end());
}

}  // namespace

std::vector<std::string_view> patternsOf(ir::Collective collective) {
  std::vector<std::string_view> names;
  for (const PatternRow& row : kRows) {
    if (row.collective == collective) names.push_back(row.name);
  }
  return names;
}

base::Result<Traffic> trafficOf(ir::Collective collective, std::string_view algorithm,
                                const std::vector<ir::Rank>& order) {
  const auto row = std::find_if(std::begin(kRows), std::end(kRows), [&](const PatternRow& each) {
    return each.collective == collective && each.name == algorithm;
  });
  if (row == std::end(kRows)) {
    return Status(
        Code::kInvalidArgument, base::kErrInvalidArgument,
        fmt::format("{} has no algorithm \"{}\" with a fixed pattern; it has: {}",
                    ir::name(collective), algorithm, fmt::join(patternsOf(collective), ", ")));
  }
  const auto size = static_cast<int>(order.size());
  if (row->needsPowerOfTwo && !std::has_single_bit(order.size())) {
    return Status(Code::kInvalidUsage, base::kErrUnsupported,
                  fmt::format("{} needs a power of two, not {} ranks", algorithm, size));
  }
  if (size < 2) return Traffic{};
  Pattern pattern(size);
  row->fill(pattern);
  for (Message& message : pattern.traffic.messages) {
    message.from = order[static_cast<size_t>(message.from)];
    message.to = order[static_cast<size_t>(message.to)];
  }
  mergePairs(pattern.traffic);
  pattern.traffic.posts = postsOf(pattern.traffic, order.size());
  return std::move(pattern.traffic);
}

namespace {

// Of two things, one after the other.
Rational inSequence(const Rational& a, const Rational& b) {
  if (a.isUnlimited()) return b;
  if (b.isUnlimited()) return a;
  return makeRational(Int128{a.num} * b.num, Int128{a.num} * b.den + Int128{b.num} * a.den);
}

}  // namespace

base::Result<TrafficLoad> loadOf(const topology::Topology& topology, topology::RouteTable& routes,
                                 const Traffic& traffic) {
  Load empty{std::vector<int64_t>(topology.links.size()),
             std::vector<int64_t>(topology.resources.size()), traffic.shares};
  TrafficLoad result{empty, Rational::unlimited()};
  for (size_t i = 0; i < traffic.messages.size();) {
    const int32_t phase = traffic.messages[i].phase;
    Load load = empty;
    for (; i < traffic.messages.size() && traffic.messages[i].phase == phase; ++i) {
      const Message& message = traffic.messages[i];
      TUTTI_ASSIGN_OR_RETURN(const auto links, routes.find(message.from, message.to, 0, 0));
      for (const topology::LinkIndex link : links) load.links[at(link)] += message.share;
    }
    chargeResources(topology, load);
    for (size_t link = 0; link < load.links.size(); ++link) {
      result.all.links[link] += load.links[link];
    }
    result.rate = inSequence(result.rate, rateOf(topology, load));
  }
  chargeResources(topology, result.all);
  return result;
}

}  // namespace tutti::plan
