// From what was measured between hosts to the fabric that explains it.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "topology/graph.h"

namespace tutti::topology {

// Rates in kB/s. Square tables by host, row-major, the sender first; the diagonal means nothing.
struct MeasuredHosts {
  std::vector<std::string> names;  // of the hosts, unique
  std::vector<int> hostOfRank;     // by rank; every host has one
  std::vector<int64_t> latencyNs;  // one way
  std::vector<int64_t> pair;       // each pair alone
  std::vector<int64_t> out;        // by host: to all others at a time
  std::vector<int64_t> in;         // by host: from all others at a time
  // By host: the least part of its own rate, in thousandths, that a pair kept while the host sent
  // to all others, or received from them.
  std::vector<int64_t> kept;

  int size() const { return static_cast<int>(names.size()); }
  int64_t at(const std::vector<int64_t>& table, int from, int to) const {
    return table[static_cast<size_t>(from) * names.size() + static_cast<size_t>(to)];
  }
};

// Hosts that reach each other as fast as their own lines allow, as lists of hosts, in order of
// their first; between islands something slower is in the way.
std::vector<std::vector<int>> measuredIslands(const MeasuredHosts& hosts);

// What the line of a host carries, kB/s, whatever is behind it.
int64_t lineOf(const MeasuredHosts& hosts, int host, bool isOut);

// Has each pair a line of its own, so that it does not matter to it what the others do?
bool isMesh(const MeasuredHosts& hosts);

// The rates between islands; tables by island.
struct MeasuredIslands {
  std::vector<std::vector<int>> islands;  // as measuredIslands gives them
  std::vector<int64_t> between;           // all pairs of hosts of both at a time
  std::vector<int64_t> out;               // by island: to the hosts of all others at a time
  std::vector<int64_t> in;                // likewise, from them
};

// The fabric of all ranks. Rates that differ by a few percent count as equal, so that noise makes
// no uneven plan and two measurements mostly give the same fabric.
//
//   a mesh            a link for each pair of hosts
//   one island        a switch, with the line of each host
//   several           a switch for each; where an island sends to all others no faster than to one,
//                     its line to a switch between them, else a link for each pair of islands
//
// Ranks of one host join at it, at `hostCapacity` each. Measured links are kNetwork, of provenance
// kMeasured.
Topology toTopology(const MeasuredHosts& hosts, const MeasuredIslands& islands,
                    int64_t hostCapacity);

}  // namespace tutti::topology
