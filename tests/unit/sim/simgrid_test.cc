// Times of flows against SimGrid's flow model (https://simgrid.org, its CM02 without TCP's
// factors), on DAGs of transfers over random fabrics. Each transfer starts when those before it
// have ended.
#include <gtest/gtest.h>

#ifdef TUTTI_HAVE_SIMGRID
#include <cmath>
#include <simgrid/s4u.hpp>

#include <memory>
#include <random>
#include <string>
#include <vector>

#include "src/sim/flow_network.h"
#include "tests/unit/sim/tree_schedules.h"
#include "topology/routes.h"

namespace tutti::sim {
namespace {

namespace s4u = simgrid::s4u;
using topology::LinkIndex;
using topology::RouteTable;
using topology::Topology;

struct Transfer {
  ir::Rank from = 0;
  ir::Rank to = 0;
  uint64_t bytes = 0;
  int64_t delayNs = 0;            // before it takes bandwidth
  std::vector<size_t> followers;  // transfers that wait for this one
  size_t needs = 0;
};

struct Case {
  Topology topology;
  // SimGrid shares by round-trip times, Tutti does not: cases with latencies on their links have
  // the same on every route.
  bool hasLatency = false;
  std::vector<Transfer> transfers;
};

// Switches in a random tree with some more links; resources join both directions of some.
Topology randomFabric(std::mt19937_64& random) {
  Topology fabric;
  const auto capacity = [&] { return static_cast<int64_t>(1 + random() % 100) * 500'000; };
  const int switches = 1 + static_cast<int>(random() % 5);
  for (int at = 0; at < switches; ++at) {
    fabric.addNode({.id = "s" + std::to_string(at), .kind = topology::NodeKind::kSwitch});
    if (at > 0) {
      fabric.addDuplex({.from = at,
                        .to = static_cast<int>(random() % static_cast<unsigned>(at)),
                        .capacity = capacity()});
    }
  }
  for (unsigned extra = random() % 3; extra > 0 && switches > 2; --extra) {
    fabric.addDuplex({.from = 0, .to = 1 + static_cast<int>(random() % 2), .capacity = capacity()});
  }
  const int ranks = 2 + static_cast<int>(random() % 10);
  for (int rank = 0; rank < ranks; ++rank) {
    const auto node = fabric.addNode({.id = "r" + std::to_string(rank)});
    const auto at = static_cast<int>(random() % static_cast<unsigned>(switches));
    const auto link = fabric.addDuplex({.from = node, .to = at, .capacity = capacity()});
    if (random() % 4 != 0) continue;
    fabric.resources.push_back(
        {"bus" + std::to_string(rank), capacity(), {{link, 1}, {link + 1, 1}}});
  }
  return fabric;
}

Case randomCase(std::mt19937_64& random) {
  Case result;
  result.hasLatency = random() % 3 == 0;
  const int ranks = 2 + static_cast<int>(random() % 12);
  result.topology =
      result.hasLatency ? makeStar(ranks, 1'000'000, 1 + random() % 100'000) : randomFabric(random);
  if (result.hasLatency) {
    for (auto& link : result.topology.links) {
      link.capacity = static_cast<int64_t>(1 + random() % 100) * 500'000;
    }
  }
  const size_t size = result.topology.ranks().size();
  const size_t count = 5 + random() % 60;
  for (size_t index = 0; index < count; ++index) {
    Transfer transfer;
    transfer.from = static_cast<ir::Rank>(random() % size);
    transfer.to = static_cast<ir::Rank>(
        (static_cast<size_t>(transfer.from) + 1 + random() % (size - 1)) % size);
    transfer.bytes = 1'000 + random() % 10'000'000;
    if (!result.hasLatency) transfer.delayNs = static_cast<int64_t>(random() % 200'000);
    for (size_t need = random() % 3; need > 0 && index > 0; --need) {
      result.transfers[random() % index].followers.push_back(index);
      ++transfer.needs;
    }
    result.transfers.push_back(std::move(transfer));
  }
  return result;
}

std::vector<LinkIndex> routeOf(RouteTable& routes, const Transfer& transfer) {
  return routes.find(transfer.from, transfer.to, 0, 0).take();
}

// Seconds at which each transfer ends.
std::vector<double> runOurs(const Case& question) {
  FlowNetwork network(question.topology);
  auto routes = RouteTable::make(question.topology).take();
  std::vector<size_t> needs;
  const auto start = [&](size_t index) {
    const Transfer& transfer = question.transfers[index];
    const auto links = routeOf(routes, transfer);
    int64_t delayNs = transfer.delayNs;
    for (const LinkIndex link : links) {
      delayNs += question.topology.links[static_cast<size_t>(link)].latencyNs;
    }
    network.start(network.addPath(links), transfer.bytes, picoseconds(delayNs), index);
  };
  for (size_t index = 0; index < question.transfers.size(); ++index) {
    needs.push_back(question.transfers[index].needs);
    if (needs[index] == 0) start(index);
  }
  std::vector<double> times(question.transfers.size());
  std::vector<uint64_t> ended;
  while (network.advance(ended)) {
    for (const uint64_t index : ended) {
      times[index] = static_cast<double>(network.now()) * 1e-12;
      for (const size_t next : question.transfers[index].followers) {
        if (--needs[next] == 0) start(next);
      }
    }
  }
  return times;
}

// One case in SimGrid's world; cases do not meet.
class TheirCase {
 public:
  TheirCase(s4u::NetZone& zone, const Case& question, const std::string& name)
      : question_(question), times_(question.transfers.size()) {
    const Topology& fabric = question.topology;
    std::vector<s4u::Link*> links;
    for (size_t at = 0; at < fabric.links.size(); ++at) {
      auto* link = zone.create_link(name + "l" + std::to_string(at),
                                    static_cast<double>(fabric.links[at].capacity) * 1e3);
      link->set_latency(static_cast<double>(fabric.links[at].latencyNs) * 1e-9);
      links.push_back(link->seal());
    }
    std::vector<std::vector<s4u::Link*>> shared(fabric.links.size());
    for (const auto& resource : fabric.resources) {
      auto* bus =
          zone.create_link(name + resource.id, static_cast<double>(resource.capacity) * 1e3);
      bus->set_latency(0)->seal();
      for (const auto& charge : resource.charges) {
        shared[static_cast<size_t>(charge.link)].push_back(bus);
      }
    }
    const auto ranks = static_cast<int>(fabric.ranks().size());
    for (int rank = 0; rank < ranks; ++rank) {
      hosts_.push_back(zone.create_host(name + "h" + std::to_string(rank), 1e9)->seal());
    }
    auto routes = RouteTable::make(fabric).take();
    for (int from = 0; from < ranks; ++from) {
      for (int to = 0; to < ranks; ++to) {
        if (from == to) continue;
        std::vector<s4u::LinkInRoute> way;
        const auto route = routes.find(from, to, 0, 0).take();
        for (const LinkIndex link : route) {
          way.emplace_back(links[static_cast<size_t>(link)]);
          for (auto* bus : shared[static_cast<size_t>(link)]) way.emplace_back(bus);
        }
        zone.add_route(host(from)->get_netpoint(), host(to)->get_netpoint(), nullptr, nullptr, way,
                       false);
      }
    }
  }

  // An actor for each transfer.
  void start() {
    for (size_t index = 0; index < times_.size(); ++index)
      gates_.push_back(s4u::Semaphore::create(0));
    for (size_t index = 0; index < times_.size(); ++index) {
      const Transfer& transfer = question_.transfers[index];
      s4u::Actor::create("t" + std::to_string(index), host(transfer.from), [this, index] {
        const Transfer& mine = question_.transfers[index];
        for (size_t need = 0; need < mine.needs; ++need) gates_[index]->acquire();
        if (mine.delayNs > 0) s4u::this_actor::sleep_for(static_cast<double>(mine.delayNs) * 1e-9);
        s4u::Comm::sendto(host(mine.from), host(mine.to), mine.bytes);
        times_[index] = s4u::Engine::get_clock();
        for (const size_t next : mine.followers) gates_[next]->release();
      });
    }
  }

  const std::vector<double>& times() const { return times_; }

 private:
  s4u::Host* host(int rank) const { return hosts_[static_cast<size_t>(rank)]; }

  const Case& question_;
  std::vector<double> times_;
  std::vector<s4u::Host*> hosts_;
  std::vector<s4u::SemaphorePtr> gates_;
};

TEST(SimGrid, agrees) {
  std::mt19937_64 random(2024);
  std::vector<Case> cases;
  for (int index = 0; index < 80; ++index) cases.push_back(randomCase(random));

  // Full: updating lazily, as it does by default, SimGrid 3.32 lets flows whose latency has just
  // passed exceed links.
  std::vector<std::string> arguments = {
      "simgrid_test",
      "--log=root.thres:error",
      "--cfg=network/model:CM02",
      "--cfg=network/optim:Full",
      "--cfg=network/bandwidth-factor:1",
      "--cfg=network/latency-factor:1",
      "--cfg=network/weight-S:0",
      "--cfg=network/TCP-gamma:0",
      "--cfg=network/crosstraffic:0",
      "--cfg=surf/precision:1e-9",
  };
  std::vector<char*> argv;
  for (auto& argument : arguments) argv.push_back(argument.data());
  auto argc = static_cast<int>(argv.size());
  s4u::Engine engine(&argc, argv.data());
  auto* zone = s4u::create_full_zone("all");
  std::vector<std::unique_ptr<TheirCase>> theirs;
  for (size_t index = 0; index < cases.size(); ++index) {
    theirs.push_back(
        std::make_unique<TheirCase>(*zone, cases[index], "c" + std::to_string(index) + "_"));
  }
  zone->seal();
  for (auto& each : theirs) each->start();
  engine.run();

  double worst = 0;
  for (size_t index = 0; index < cases.size(); ++index) {
    const auto ours = runOurs(cases[index]);
    for (size_t at = 0; at < ours.size(); ++at) {
      const double other = theirs[index]->times()[at];
      worst = std::max(worst, std::abs(ours[at] / other - 1));
      EXPECT_NEAR(ours[at], other, 0.03 * other) << "case " << index << " transfer " << at;
    }
  }
  std::cout << "worst difference of " << cases.size() << " cases: " << worst * 100 << " %\n";
}

}  // namespace
}  // namespace tutti::sim

#else

TEST(SimGrid, agrees) { GTEST_SKIP() << "libsimgrid-dev was not found"; }

#endif
