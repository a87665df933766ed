// Topology: the fabric as a graph. Nodes are what sends, receives or forwards; links are directed
// and carry an integer capacity; resources are what several links share. A value: comparable,
// printable, serialisable (json.h), with a digest that is the same on every machine.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "src/base/status.h"

namespace tutti::topology {

using NodeIndex = int32_t;  // into Topology::nodes
using LinkIndex = int32_t;  // into Topology::links

// 1 GB/s (10^9 bytes) in the unit of every capacity, kB/s (10^3 bytes): 20 Mb/s over a WAN and
// 900 GB/s at a switch fit one scale.
inline constexpr int64_t kGigabyte = 1'000'000;
// The most that any capacity may be: 10 PB/s. Keeps sums and products of planners in 128 bits.
inline constexpr int64_t kMostCapacity = 10'000'000'000'000;
// The most that any latency may be: 1000 s, so that those of a path of links add up in 64 bits.
inline constexpr int64_t kMostLatencyNs = 1'000'000'000'000;

// Only ranks copy and reduce; everything else forwards.
enum class NodeKind : uint8_t {
  kRank,    // a device that takes part; its rank is its place among the nodes of this kind
  kSwitch,  // a switch of any fabric
  kNic,     // a network interface
  kBridge,  // a PCIe switch, bridge or root port
  kHost,    // a processor with its memory: one NUMA node
};

enum class LinkKind : uint8_t {
  kDevice,   // between accelerators, or from one to their switch
  kChip,     // between an accelerator and a processor of one package
  kPci,      // PCI Express
  kSocket,   // between processors
  kNetwork,  // leaves the machine
  kOther,
};

// Where a capacity comes from; the later, the better known.
enum class Provenance : uint8_t {
  kTable,     // a default by kind
  kDeclared,  // a file, or what the hardware says of itself
  kMeasured,  // a probe
};

struct Node {
  std::string id;  // unique; what people and files call it
  NodeKind kind = NodeKind::kRank;
  std::string host = {};     // which machine; empty: none (a switch of the network) or not known
  std::string site = {};     // which place; empty: one place
  std::string vendor = {};   // of a device, as its file or backend says; empty: not known
  std::string model = {};    // likewise
  std::string address = {};  // PCI address "0000:c1:00.0"; empty: none
  bool operator==(const Node&) const = default;
};

// One direction. A duplex link is two of them.
struct Link {
  NodeIndex from = 0;
  NodeIndex to = 0;
  int64_t capacity = 0;   // kB/s, 1 .. kMostCapacity
  int64_t latencyNs = 0;  // of crossing it, not of sending a message
  LinkKind kind = LinkKind::kOther;
  Provenance provenance = Provenance::kDeclared;
  bool operator==(const Link&) const = default;
};

// A byte over `link` takes `units` bytes of the resource (staging through memory takes 2).
struct Charge {
  LinkIndex link = 0;
  int32_t units = 1;
  bool operator==(const Charge&) const = default;
};

// What several links share: a half-duplex bus, memory that staging crosses twice, a NIC's total.
struct Resource {
  std::string id;
  int64_t capacity = 0;  // kB/s
  std::vector<Charge> charges;
  bool operator==(const Resource&) const = default;
};

struct Topology {
  std::string name;  // for people; no part of the digest
  std::vector<Node> nodes;
  std::vector<Link> links;
  std::vector<Resource> resources;

  // The nodes of kind kRank, in order: element r is rank r.
  std::vector<NodeIndex> ranks() const;
  // For every node, its rank or -1.
  std::vector<int32_t> rankOfNode() const;
  // The node of that id, or -1. O(nodes).
  NodeIndex find(std::string_view id) const;

  // Both append and return the new index. addDuplex adds two links and returns the first, from a.
  NodeIndex addNode(Node node);
  LinkIndex addLink(Link link);
  LinkIndex addDuplex(Link link);

  // 64-bit digest of everything but `name`; equal topologies have equal ones on every machine.
  uint64_t digest() const;
  bool operator==(const Topology&) const = default;
};

// The links that leave and enter each node, as indices in ascending order.
struct Adjacency {
  std::vector<std::vector<LinkIndex>> out;
  std::vector<std::vector<LinkIndex>> in;
};
Adjacency adjacency(const Topology& topology);

// Is this a fabric that can be planned for? Indices in range, ids unique and not empty, capacities
// and latencies in range, no link from a node to itself, at least one rank, and every rank
// reaches every other. The error names the node or link, and for a disconnected graph
// two ranks between which there is no way.
base::Status check(const Topology& topology);

// The same fabric with fewer parts, for planners: parallel links of one direction are added up
// (their latency is the least), forwarders that lead nowhere are dropped, and a forwarder between
// exactly two neighbours becomes a link of the smaller capacity and the added latency (of the kind
// that is farther from a device, kNetwork being the farthest). Every set of ranks keeps the
// capacity of its least cut, and no byte is charged otherwise than before: resources follow their
// links, links in series charge what both did, and parallel links that charge differently stay
// apart. Ranks keep their order. `origin[i]` lists the links of `topology` that link i of the
// result stands for, in order of travel; of parallel ones only the widest.
//
// Near-linear in nodes and links. The indices in `topology` must be in range (see check).
struct Contracted {
  Topology topology;
  std::vector<std::vector<LinkIndex>> origin;
};
Contracted contract(const Topology& topology);

std::string_view name(NodeKind kind);  // "rank", "switch", "nic", "bridge", "host"
std::string_view name(LinkKind kind);  // "device", "chip", "pci", "socket", "network", "other"
std::string_view name(Provenance provenance);  // "table", "declared", "measured"

// A capacity for people, in GB/s: "50", "0.957".
std::string gigabytesText(int64_t capacity);

// For people: a line for each node with its links.
std::string toString(const Topology& topology);

}  // namespace tutti::topology
