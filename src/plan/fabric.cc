#include "src/plan/fabric.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <span>

#include "src/base/errors.h"
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
         collective == Collective::kReduce || collective == Collective::kAllGather ||
         collective == Collective::kReduceScatter;
}

double nsOf(double bytes, const Rational& rate) {
  return rate.isUnlimited() ? 0 : bytes * 1e6 / rate.value();
}

class Planner {
 public:
  Planner(const Demand& demand, const FabricOptions& options, FabricPlan& plan,
          topology::RouteTable& routes)
      : demand_(demand), options_(options), plan_(plan), routes_(routes) {}

  base::Status addPatterns();
  base::Status addTrees();
  void choose();

 private:
  base::Result<Candidate> pattern(std::string_view algorithm);
  void price(Candidate& candidate, const Traffic& traffic);
  void price(Candidate& candidate, const Packing& packing);
  int64_t startNs(std::span<const topology::LinkIndex> links) const;
  std::string fullest(const Load& load) const;
  std::string whyNot(const Candidate& candidate) const;
  Rational best() const;

  const Demand& demand_;
  const FabricOptions& options_;
  FabricPlan& plan_;
  topology::RouteTable& routes_;
  std::vector<Rank> ownOrder_;  // the root and those that follow it
};

// Before the first byte of a message arrives.
int64_t Planner::startNs(std::span<const topology::LinkIndex> links) const {
  int64_t latency = 0;
  int64_t cost = options_.costs.deviceNs;
  for (const topology::LinkIndex index : links) {
    const topology::Link& link = plan_.fabric.links[static_cast<size_t>(index)];
    latency += link.latencyNs;
    if (link.kind == topology::LinkKind::kNetwork) cost = options_.costs.networkNs;
    if (link.kind == topology::LinkKind::kPci || link.kind == topology::LinkKind::kSocket) {
      cost = std::max(cost, options_.costs.pciNs);
    }
  }
  return latency + cost;
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

void Planner::price(Candidate& candidate, const Traffic& traffic) {
  int64_t start = 0;
  for (const Message& message : traffic.messages) {
    const auto links = routes_.find(message.from, message.to, 0, 0);
    if (links.isOk()) start = std::max(start, startNs(*links));
  }
  const int64_t further = std::max(traffic.posts - 1, 0) * options_.costs.postNs;
  candidate.maxDepth = traffic.steps;
  candidate.ns = static_cast<double>(traffic.steps * start + further) +
                 nsOf(static_cast<double>(plan_.bytes), candidate.kilobytesPerSecond);
}

// A pipeline of chunks through the deepest tree, with the number of chunks that is best: steps of
// start + T / c each, c + hops - 1 of them (T: all bytes at the packing's rate).
void Planner::price(Candidate& candidate, const Packing& packing) {
  int64_t start = 0;
  for (const RoutedTree& tree : packing.trees) {
    for (const auto& links : tree.down) start = std::max(start, startNs(links));
    for (const auto& links : tree.up) start = std::max(start, startNs(links));
  }
  const bool isTwice = packing.collective == Collective::kAllReduce || packing.isFlooding;
  const double hops = std::max(1, packing.maxDepth * (isTwice ? 2 : 1));
  const double all = nsOf(static_cast<double>(plan_.bytes), candidate.kilobytesPerSecond);
  const auto step = static_cast<double>(start);
  const double chunks = std::max(1.0, std::sqrt((hops - 1) * all / step));
  candidate.maxDepth = packing.maxDepth;
  candidate.trees = static_cast<int32_t>(packing.trees.size());
  candidate.ns = (chunks + hops - 1) * (step + all / chunks);
}

base::Result<Candidate> Planner::pattern(std::string_view algorithm) {
  Candidate candidate{.algorithm = std::string(algorithm)};
  if (sendsToAll(algorithm) && plan_.ranks > options_.mostForPairs) {
    candidate.reason = fmt::format("a message for every pair of {} ranks", plan_.ranks);
    return candidate;
  }
  if (algorithm == "ring" || algorithm == "chain") {
    TUTTI_ASSIGN_OR_RETURN(candidate.order, ringOrder(plan_.fabric, routes_, plan_.root));
  }
  const auto traffic =
      trafficOf(plan_.collective, algorithm, candidate.order.empty() ? ownOrder_ : candidate.order);
  if (!traffic.isOk()) {
    candidate.reason = traffic.status().text();
    return candidate;
  }
  TUTTI_ASSIGN_OR_RETURN(const Load load, loadOf(plan_.fabric, routes_, *traffic));
  candidate.kilobytesPerSecond = rateOf(plan_.fabric, load);
  price(candidate, *traffic);
  candidate.reason = fullest(load);
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

base::Status Planner::addTrees() {
  if (!canBePacked(plan_.collective)) return {};
  if (permilleOf(best(), plan_.bound) >= 1000 - options_.gapPermille) return {};
  // The same rate; its links are those of the contracted fabric.
  TUTTI_ASSIGN_OR_RETURN(const Bound limit, bound(plan_.fabric, demand_));
  TUTTI_ASSIGN_OR_RETURN(plan_.packing,
                         packTrees(plan_.fabric, limit, demand_.root, options_.packing));
  const bool isByRank =
      plan_.collective == Collective::kAllGather || plan_.collective == Collective::kReduceScatter;
  Candidate candidate{.algorithm = isByRank ? "forest" : "trees"};
  candidate.kilobytesPerSecond = plan_.packing.achieved;
  price(candidate, plan_.packing);
  candidate.reason = fullest(loadOf(plan_.fabric, plan_.packing));
  plan_.candidates.push_back(std::move(candidate));
  return {};
}

std::string Planner::whyNot(const Candidate& candidate) const {
  if (candidate.kilobytesPerSecond.num == 0) return candidate.reason;
  const double bytes = nsOf(static_cast<double>(plan_.bytes), candidate.kilobytesPerSecond);
  const bool isByStart = bytes < candidate.ns / 2;
  return fmt::format("{:.3g} times the time; {}", candidate.ns / plan_.candidates.front().ns,
                     isByStart
                         ? fmt::format("{} steps cost more than the bytes", candidate.maxDepth)
                         : candidate.reason);
}

void Planner::choose() {
  const auto usable = [](const Candidate& each) { return each.kilobytesPerSecond.num != 0; };
  std::stable_sort(plan_.candidates.begin(), plan_.candidates.end(),
                   [&](const Candidate& a, const Candidate& b) {
                     return usable(a) != usable(b) ? usable(a) : a.ns < b.ns;
                   });
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
                                    uint64_t bytes, const FabricOptions& options) {
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
  Planner planner(demand, options, plan, routes);
  TUTTI_RETURN_IF_ERROR(planner.addPatterns());
  TUTTI_RETURN_IF_ERROR(planner.addTrees());
  if (plan.candidates.empty()) {
    return base::Status(base::Code::kInvalidUsage, base::kErrUnsupported,
                        fmt::format("{} has a bound on a fabric (--bound-only), but no plan",
                                    ir::name(plan.collective)));
  }
  planner.choose();
  return plan;
}

int64_t permilleOf(const Rational& rate, const Bound& bound) {
  const Rational& most = bound.kilobytesPerSecond;
  if (rate.isUnlimited() || most.isUnlimited()) return 1000;
  if (most.num == 0) return 0;
  return static_cast<int64_t>(static_cast<Int128>(rate.num) * most.den * 1000 /
                              (static_cast<Int128>(rate.den) * most.num));
}

}  // namespace tutti::plan
