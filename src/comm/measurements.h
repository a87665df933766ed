// What was measured between hosts, kept for later communicators of the same hosts.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "topology/measured.h"

namespace tutti::comm {

// Without names of hosts and places of ranks, which each communicator has its own of.
struct Measurement {
  topology::MeasuredHosts hosts;
  topology::MeasuredIslands islands;
};

// Of this host as far as it matters: which boot and network of it, the interfaces that are up with
// their speeds, and the settings that choose among them.
std::string networkIdentity();

// One file for each set of hosts, whatever their order, in TUTTI_CACHE_DIR. `hosts` are their
// identities, in the order of the tables.
class Measurements {
 public:
  // In no directory nothing is kept.
  Measurements(std::string directory, const std::vector<std::string>& hosts);

  // What this process finds that is not older than `most`; empty: nothing.
  std::string load(std::chrono::seconds most) const;
  void save(const Measurement& measurement) const;
  // It turned out not to be true any more.
  void forget() const;

  // What load gave, in any process, for these hosts in this order.
  std::optional<Measurement> parse(std::string_view text) const;

 private:
  std::string directory_;
  std::vector<std::string> hosts_;
  std::string name_;  // of the file
};

}  // namespace tutti::comm
