#include "src/plan/fabric.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <numeric>
#include <span>
#include <tuple>

#include "src/base/errors.h"
#include "src/plan/fixed_trees.h"
#include "src/plan/ring_order.h"
#include "src/plan/traffic.h"
#include "topology/routes.h"

namespace tutti::plan {
namespace {

using ir::Collective;
using ir::Rank;

bool sendsToAll(std::string_view algorithm) {
  return algorithm == "one_shot" || algorithm == "two_shot" || algorithm == "exchange" ||
         algorithm == "scatter_all_gather";
}

bool canBePacked(Collective collective) {
  return collective == Collective::kAllReduce || collective == Collective::kBroadcast ||
         collective == Collective::kReduce || isByRank(collective);
}

int64_t saturated(Int128 ns) { return static_cast<int64_t>(std::min<Int128>(ns, kMostNs)); }

int64_t nsOf(uint64_t bytes, const Rational& rate) {
  if (rate.isUnlimited() || rate.num == 0) return 0;
  // So that the product below fits 128 bits.
  const int shift =
      std::max(0, static_cast<int>(std::bit_width(static_cast<uint64_t>(rate.den))) - 40);
  const Int128 num = std::max<int64_t>(1, rate.num >> shift);
  return saturated((static_cast<Int128>(bytes) * 1'000'000 * (rate.den >> shift) + num - 1) / num);
}

// How long a chunk takes that has kLeastNetworkBytes for each of `messages` that share it.
int64_t leastNs(bool isOnNetwork, size_t messages, const Rational& rate) {
  return isOnNetwork ? nsOf(kLeastNetworkBytes * messages, rate) : 0;
}

bool isPermutation(const std::vector<Rank>& order, int32_t ranks, Rank first) {
  std::vector<Rank> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  std::vector<Rank> all(static_cast<size_t>(ranks));
  std::iota(all.begin(), all.end(), 0);
  return sorted == all && order.front() == first;
}

// Is `known` for this fabric and demand?
base::Status checkKnown(const Searched& known, const FabricPlan& plan,
                        const FabricOptions& options) {
  const auto defect = [](const char* text) {
    return base::Status(base::Code::kInternalError, base::kErrInternal, text);
  };
  if (!known.order.empty() && !isPermutation(known.order, plan.ranks, plan.root)) {
    return defect("the order of a ring does not name each rank once, the root first");
  }
  const Packing& packing = known.packing;
  if (packing.trees.empty()) return {};
  const int64_t perRoot = options.packing.mostPerRoot > 0 ? options.packing.mostPerRoot : 64;
  const int64_t most = isByRank(plan.collective) ? perRoot * plan.ranks : options.packing.mostTrees;
  if (packing.collective != plan.collective || (packing.isFlooding && !isByRank(plan.collective)) ||
      static_cast<int64_t>(packing.trees.size()) > most) {
    return defect("a packing is for another collective, or of too many trees");
  }
  TUTTI_RETURN_IF_ERROR(check(plan.fabric, packing));
  const bool hasRoot =
      plan.collective == Collective::kBroadcast || plan.collective == Collective::kReduce;
  if (hasRoot && packing.trees[0].tree.root != plan.root) {
    return defect("a packing is for another root");
  }
  return {};
}

Rational crowded(const Candidate& candidate) {
  return crowded(candidate.kilobytesPerSecond, candidate.crowd);
}

class Planner {
 public:
  Planner(const Demand& demand, const FabricOptions& options, const Searched& known,
          FabricPlan& plan, topology::RouteTable& routes)
      : demand_(demand), options_(options), known_(known), plan_(plan), routes_(routes) {}

  base::Status addPatterns();
  void addFixedTrees();
  base::Status addPackedTrees();
  void choose();

 private:
  base::Result<Candidate> pattern(std::string_view algorithm);
  base::Result<Packing> pack();
  void addTrees(std::string_view algorithm, Packing packing);
  Pace paceOf(const Traffic& traffic, bool isPipeline, const Rational& rate);
  bool hasNetwork(std::span<const topology::LinkIndex> links) const;
  Pace paceOf(const Packing& packing) const;
  int64_t latencyNs(std::span<const topology::LinkIndex> links) const;
  int64_t startNs(std::span<const topology::LinkIndex> links) const;
  int64_t chunkNs(int64_t posts, int64_t latencyNs) const;
  std::string fullest(const Load& load) const;
  std::string whyNot(const Candidate& candidate) const;
  Rational best() const;

  const Demand& demand_;
  const FabricOptions& options_;
  const Searched& known_;
  FabricPlan& plan_;
  topology::RouteTable& routes_;
  std::vector<Rank> ownOrder_;   // the root and those that follow it
  std::vector<Rank> ringOrder_;  // empty: not looked for
};

int64_t Planner::latencyNs(std::span<const topology::LinkIndex> links) const {
  int64_t latency = 0;
  for (const topology::LinkIndex index : links) {
    latency += plan_.fabric.links[static_cast<size_t>(index)].latencyNs;
  }
  return latency;
}

int64_t Planner::chunkNs(int64_t posts, int64_t latencyNs) const {
  return std::max({int64_t{1}, posts * options_.costs.postNs, latencyNs});
}

// Before the first byte of a message arrives.
int64_t Planner::startNs(std::span<const topology::LinkIndex> links) const {
  int64_t cost = options_.costs.deviceNs;
  for (const topology::LinkIndex index : links) {
    const topology::Link& link = plan_.fabric.links[static_cast<size_t>(index)];
    if (link.kind == topology::LinkKind::kNetwork) cost = options_.costs.networkNs;
    if (link.kind == topology::LinkKind::kPci || link.kind == topology::LinkKind::kSocket) {
      cost = std::max(cost, options_.costs.pciNs);
    }
  }
  return latencyNs(links) + cost;
}

std::string Planner::fullest(const Load& load) const {
  size_t most = 0;
  Rational highest{};
  for (size_t i = 0; i < load.links.size(); ++i) {
    const Rational share = makeRational(load.links[i], plan_.fabric.links[i].capacity);
    if (share > highest) {
      highest = share;
      most = i;
    }
  }
  if (highest.num == 0) return "nothing";
  const topology::Link& link = plan_.fabric.links[most];
  return fmt::format("{} -> {} ({} GB/s) carries {:.3g} of the vector",
                     plan_.fabric.nodes[static_cast<size_t>(link.from)].id,
                     plan_.fabric.nodes[static_cast<size_t>(link.to)].id,
                     topology::gigabytesText(link.capacity),
                     static_cast<double>(load.links[most]) / static_cast<double>(load.total));
}

bool Planner::hasNetwork(std::span<const topology::LinkIndex> links) const {
  return std::any_of(links.begin(), links.end(), [&](topology::LinkIndex index) {
    return plan_.fabric.links[static_cast<size_t>(index)].kind == topology::LinkKind::kNetwork;
  });
}

Pace Planner::paceOf(const Traffic& traffic, bool isPipeline, const Rational& rate) {
  Pace pace;
  int64_t longest = 0;
  bool isOnNetwork = false;
  for (const Message& message : traffic.messages) {
    const auto links = routes_.find(message.from, message.to, 0, 0);
    if (!links.isOk()) continue;
    pace.startNs = std::max(pace.startNs, startNs(*links));
    longest = std::max(longest, latencyNs(*links));
    isOnNetwork |= hasNetwork(*links);
  }
  pace.furtherNs = std::max(traffic.posts - 1, 0) * options_.costs.postNs;
  pace.steps = traffic.steps;
  if (isPipeline) {
    pace.chunkNs = std::max(chunkNs(kPostsPerChunk, longest), leastNs(isOnNetwork, 1, rate));
  }
  return pace;
}

Pace Planner::paceOf(const Packing& packing) const {
  Pace pace;
  int64_t longest = 0;
  bool isOnNetwork = false;
  for (const RoutedTree& tree : packing.trees) {
    for (const auto* side : {&tree.down, &tree.up}) {
      for (const auto& links : *side) {
        pace.startNs = std::max(pace.startNs, startNs(links));
        longest = std::max(longest, latencyNs(links));
        isOnNetwork |= hasNetwork(links);
      }
    }
  }
  const bool isTwice = packing.collective == Collective::kAllReduce || packing.isFlooding;
  pace.steps = std::max(1, packing.maxDepth * (isTwice ? 2 : 1));
  const bool isForest = isByRank(packing.collective);
  const int64_t least = leastNs(isOnNetwork, isForest ? 1 : packing.trees.size(), packing.achieved);
  pace.chunkNs = std::max(chunkNs(isForest ? kPostsPerMessage : kPostsPerChunk, longest), least);
  return pace;
}

base::Result<Candidate> Planner::pattern(std::string_view algorithm) {
  Candidate candidate{.algorithm = std::string(algorithm)};
  if (sendsToAll(algorithm) && plan_.ranks > options_.mostForPairs) {
    candidate.reason = fmt::format("a message for every pair of {} ranks", plan_.ranks);
    return candidate;
  }
  // The farther places of pat are apart, the less they send each other.
  if (algorithm == "ring" || algorithm == "chain" || algorithm == "pat") {
    if (ringOrder_.empty()) ringOrder_ = known_.order;
    if (ringOrder_.empty()) {
      TUTTI_ASSIGN_OR_RETURN(ringOrder_, ringOrder(plan_.fabric, routes_, plan_.root));
    }
    candidate.order = ringOrder_;
  }
  const auto traffic =
      trafficOf(plan_.collective, algorithm, candidate.order.empty() ? ownOrder_ : candidate.order);
  if (!traffic.isOk()) {
    candidate.reason = traffic.status().text();
    return candidate;
  }
  TUTTI_ASSIGN_OR_RETURN(const TrafficLoad load, loadOf(plan_.fabric, routes_, *traffic));
  candidate.kilobytesPerSecond = load.rate;
  candidate.pace = paceOf(*traffic, algorithm == "chain", load.rate);
  candidate.crowd = crowdOf(plan_.fabric, routes_, *traffic);
  candidate.maxDepth = traffic->steps;
  candidate.ns = predictedNs(candidate, plan_.bytes);
  candidate.reason = fullest(load.all);
  return candidate;
}

base::Status Planner::addPatterns() {
  ownOrder_.resize(static_cast<size_t>(plan_.ranks));
  std::iota(ownOrder_.begin(), ownOrder_.end(), 0);
  std::rotate(ownOrder_.begin(), ownOrder_.begin() + plan_.root, ownOrder_.end());
  for (const std::string_view algorithm : patternsOf(plan_.collective)) {
    TUTTI_ASSIGN_OR_RETURN(Candidate candidate, pattern(algorithm));
    plan_.candidates.push_back(std::move(candidate));
  }
  return {};
}

Rational Planner::best() const {
  Rational best{};
  for (const Candidate& candidate : plan_.candidates) {
    best = std::max(best, candidate.kilobytesPerSecond);
  }
  return best;
}

base::Result<Packing> Planner::pack() {
  if (!known_.packing.trees.empty()) {
    Packing packing = known_.packing;
    measure(plan_.fabric, packing);
    return packing;
  }
  // The same rate; its links are those of the contracted fabric.
  TUTTI_ASSIGN_OR_RETURN(const Bound limit, bound(plan_.fabric, demand_));
  return packTrees(plan_.fabric, limit, demand_.root, options_.packing);
}

void Planner::addTrees(std::string_view algorithm, Packing packing) {
  Candidate candidate{.algorithm = std::string(algorithm)};
  candidate.kilobytesPerSecond = packing.achieved;
  candidate.pace = paceOf(packing);
  candidate.crowd = crowdOf(plan_.fabric, packing);
  candidate.maxDepth = packing.maxDepth;
  candidate.trees = static_cast<int32_t>(packing.trees.size());
  candidate.ns = predictedNs(candidate, plan_.bytes);
  candidate.reason = fullest(loadOf(plan_.fabric, packing));
  candidate.packing = std::move(packing);
  plan_.candidates.push_back(std::move(candidate));
}

void Planner::addFixedTrees() {
  for (const std::string_view form : fixedTreesOf(plan_.collective)) {
    Candidate unused{.algorithm = std::string(form)};
    if (isByRank(plan_.collective) && plan_.ranks > options_.mostForPairs) {
      unused.reason = fmt::format("a tree for each of {} ranks", plan_.ranks);
    } else {
      auto packing = fixedTrees(plan_.fabric, routes_, demand_, form);
      if (packing.isOk() && packing->trees.empty()) continue;
      if (packing.isOk()) {
        addTrees(form, packing.take());
        continue;
      }
      unused.reason = packing.status().text();
    }
    plan_.candidates.push_back(std::move(unused));
  }
}

base::Status Planner::addPackedTrees() {
  if (!canBePacked(plan_.collective)) return {};
  if (permilleOf(best(), plan_.bound) >= 1000 - options_.gapPermille) return {};
  TUTTI_ASSIGN_OR_RETURN(Packing packing, pack());
  addTrees(isByRank(plan_.collective) ? "forest" : "trees", std::move(packing));
  return {};
}

std::string Planner::whyNot(const Candidate& candidate) const {
  if (candidate.kilobytesPerSecond.num == 0) return candidate.reason;
  const Candidate& choice = plan_.candidates.front();
  if (candidate.ns <= choice.ns && candidate.kilobytesPerSecond < choice.kilobytesPerSecond) {
    return fmt::format("no clear winner here, and slower for longer calls; {}", candidate.reason);
  }
  const bool isByStart = nsOf(plan_.bytes, candidate.kilobytesPerSecond) < candidate.ns / 2;
  return fmt::format(
      "{:.3g} times the time; {}",
      static_cast<double>(candidate.ns) / static_cast<double>(std::max<int64_t>(1, choice.ns)),
      isByStart ? fmt::format("{} steps cost more than the bytes", candidate.maxDepth)
                : candidate.reason);
}

void Planner::choose() {
  auto& all = plan_.candidates;
  const auto usable = [](const Candidate& each) { return each.kilobytesPerSecond.num != 0; };
  std::stable_sort(all.begin(), all.end(), [&](const Candidate& a, const Candidate& b) {
    return usable(a) != usable(b) ? usable(a) : a.ns < b.ns;
  });
  if (const Candidate* choice = choiceOf(all, plan_.bytes)) {
    const auto best = all.begin() + (choice - all.data());
    std::rotate(all.begin(), best, best + 1);
  }
  for (size_t i = 1; i < plan_.candidates.size(); ++i) {
    plan_.candidates[i].reason = whyNot(plan_.candidates[i]);
  }
  if (!plan_.candidates.empty()) {
    Candidate& choice = plan_.candidates.front();
    choice.reason =
        fmt::format("{:.1f} % of the bound; {}",
                    static_cast<double>(permilleOf(choice.kilobytesPerSecond, plan_.bound)) / 10,
                    choice.reason);
  }
}

}  // namespace

base::Result<FabricPlan> planFabric(const topology::Topology& topology, const Demand& demand,
                                    uint64_t bytes, const FabricOptions& options,
                                    const Searched* known) {
  const Searched nothing;
  if (known == nullptr) known = &nothing;
  FabricPlan plan;
  plan.collective = demand.collective;
  plan.root = demand.root;
  plan.bytes = bytes;
  TUTTI_ASSIGN_OR_RETURN(plan.bound, bound(topology, demand));
  plan.fabric = topology::contract(topology).topology;
  plan.ranks = static_cast<int32_t>(plan.fabric.ranks().size());
  if (plan.ranks == 1) {
    plan.candidates.push_back({.algorithm = "local",
                               .kilobytesPerSecond = Rational::unlimited(),
                               .reason = "one rank copies to itself"});
    return plan;
  }
  TUTTI_ASSIGN_OR_RETURN(auto routes, topology::RouteTable::make(plan.fabric));
  TUTTI_RETURN_IF_ERROR(checkKnown(*known, plan, options));
  Planner planner(demand, options, *known, plan, routes);
  TUTTI_RETURN_IF_ERROR(planner.addPatterns());
  planner.addFixedTrees();
  TUTTI_RETURN_IF_ERROR(planner.addPackedTrees());
  if (plan.candidates.empty()) {
    return base::Status(base::Code::kInvalidUsage, base::kErrUnsupported,
                        fmt::format("{} has a bound on a fabric (--bound-only), but no plan",
                                    ir::name(plan.collective)));
  }
  planner.choose();
  return plan;
}

Searched searchedOf(const FabricPlan& made) {
  Searched searched;
  for (const Candidate& candidate : made.candidates) {
    if (!candidate.order.empty()) searched.order = candidate.order;
    const bool isPacked = candidate.algorithm == "trees" || candidate.algorithm == "forest";
    if (isPacked) searched.packing = candidate.packing;
  }
  return searched;
}

std::string_view templateOf(const Candidate& candidate) {
  if (candidate.packing.trees.empty()) return candidate.algorithm;
  return isByRank(candidate.packing.collective) ? "forest" : "trees";
}

int64_t chunkNsOf(const Candidate& candidate, uint64_t bytes) {
  const Pace& pace = candidate.pace;
  if (pace.chunkNs == 0) return 0;
  const int64_t all = nsOf(bytes, crowded(candidate));
  const int64_t least = all / (kMostChunksPerStep * std::max(1, pace.steps));
  return std::min(all, std::max(pace.chunkNs, least));
}

int64_t predictedNs(const Candidate& candidate, uint64_t bytes) {
  const Pace& pace = candidate.pace;
  const int64_t all = nsOf(bytes, crowded(candidate));
  const int64_t chunk = chunkNsOf(candidate, bytes);
  return saturated(Int128{pace.steps} * (pace.startNs + chunk) + pace.furtherNs + all - chunk);
}

const Candidate* choiceOf(std::span<const Candidate> candidates, uint64_t bytes) {
  int64_t least = kMostNs;
  for (const Candidate& each : candidates) {
    if (each.kilobytesPerSecond.num != 0) least = std::min(least, predictedNs(each, bytes));
  }
  const Candidate* best = nullptr;
  int64_t bestNs = 0;
  Rational bestRate;
  for (const Candidate& each : candidates) {
    const int64_t ns = predictedNs(each, bytes);
    const bool isClose = ns == least || ns - least < least / kCloseCall;
    if (each.kilobytesPerSecond.num == 0 || !isClose) continue;
    const Rational rate = crowded(each);
    if (best != nullptr &&
        std::tie(bestRate, ns, each.algorithm) >= std::tie(rate, bestNs, best->algorithm)) {
      continue;
    }
    best = &each;
    bestNs = ns;
    bestRate = rate;
  }
  return best;
}

int64_t permilleOf(const Rational& rate, const Bound& bound) {
  const Rational& most = bound.kilobytesPerSecond;
  if (rate.isUnlimited() || most.isUnlimited()) return 1000;
  if (most.num == 0) return 0;
  return static_cast<int64_t>(static_cast<Int128>(rate.num) * most.den * 1000 /
                              (static_cast<Int128>(rate.den) * most.num));
}

}  // namespace tutti::plan
