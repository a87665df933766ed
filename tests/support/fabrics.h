// Fabrics for tests: published machines and clusters of them, regular networks, unequal layouts,
// random ones. Capacities are in kB/s and for one direction, as everywhere; links are duplex unless
// it says otherwise.
#pragma once

#include <cstdint>
#include <vector>

#include "topology/graph.h"

namespace tutti::tests {

using topology::kGigabyte;
inline constexpr int64_t kGigabit = kGigabyte / 8;

// ---- Machines (clusters.cc): rank r is device r mod 8 (or 16) of box r / 8 ----------------------

// Eight devices at one switch, 300 GB/s each; of several boxes each device has a NIC of 25 GB/s,
// those of even number on one network switch and those of odd number on another.
topology::Topology dgxA100(int boxes);

// The network of h100 and mi300x: switch i joins the NICs number i of all boxes.
struct Rails {
  int64_t capacity = 50 * kGigabyte;    // of a NIC
  int64_t ofFirstBox = 50 * kGigabyte;  // of a NIC of box 0: half of it is a degraded box
  int nicsOfFirstBox = 8;               // box 0 has only NICs 0 .. this-1
};
// Eight devices at one switch, 450 GB/s each; of several boxes a NIC per device, on rails.
topology::Topology h100(int boxes, const Rails& rails = {});

// Eight devices, 64 GB/s between every two; of several boxes a NIC per device, on rails.
topology::Topology mi300x(int boxes, const Rails& rails = {});

// Eight devices in a cube mesh of links of 25 GB/s, one or two between neighbours, six per device.
topology::Topology dgx1v();

// Boxes of 16 dies in an irregular mesh of links of 50 GB/s; of several boxes every die has 16 GB/s
// to one network switch. `dies` below 16 leaves out the others: mi250(2, 8) is "8 + 8".
topology::Topology mi250(int boxes, int dies = 16);

// ---- Networks (networks.cc): every rank is a machine of its own ---------------------------------

topology::Topology single();  // one rank, no link
// One switch; rank r has capacities[r].
topology::Topology star(const std::vector<int64_t>& capacities);
topology::Topology ring(int ranks, int64_t capacity);
topology::Topology mesh(int ranks, int64_t capacity);  // every two ranks
topology::Topology torus(const std::vector<int>& extents, int64_t capacity);
topology::Topology hypercube(int dimensions, int64_t capacity);
// `hosts` ranks at each leaf, `uplink` from each leaf to one core switch.
topology::Topology fatTree(int leaves, int hosts, int64_t capacity, int64_t uplink);
// Two switches with `ranks` each, and a link between the switches.
topology::Topology twoIslands(int ranks, int64_t capacity, int64_t between);

struct RandomFabric {
  int ranks = 4;
  int switches = 2;
  int extraLinks = 4;         // duplex, on top of a random spanning tree; some are parallel
  int64_t mostCapacity = 20;  // capacities are 1 .. this many `unit`s
  int64_t unit = kGigabyte;
  bool isSymmetric = true;  // else the two directions of a link have capacities of their own
};
// The same on every machine for a seed. Connected.
topology::Topology randomFabric(uint64_t seed, const RandomFabric& options);

// ---- Unequal layouts (layouts.cc) ---------------------------------------------------------------

// Ranks A, B, C and a switch w with A->w, w->B, w->C, B<->C 100, B->A, C->A 1000 GB/s: cuts allow
// an all-gather of 300 GB/s, but the switch would have to copy; without, it is 225.
topology::Topology copyingSwitch();
// Eight devices at a switch of 450 GB/s and eight in a mesh of 64 GB/s, of two vendors, with eight
// NICs of 50 GB/s on each side, on rails.
topology::Topology mixedBoxes();
// Host a: two devices on a PCIe switch each (24 GB/s), a NIC of 25 GB/s under the first. Host b:
// four devices on two PCIe switches, a NIC of 25 GB/s; with 100 GB/s between the devices of a PCIe
// switch if `hasPairLinks`.
topology::Topology mixedPcie(bool hasPairLinks);
// Three sites of eight ranks at 400 Gb/s each, joined by a triangle of 10, 40 and 100 Gb/s (A-B,
// B-C, C-A).
topology::Topology wanTriangle();
// The same sites with one access link each, of 10, 40 and 100 Gb/s, to a core.
topology::Topology wanStar();
// Two ranks and a switch, no way between the ranks: topology::check refuses it.
topology::Topology disconnected();

}  // namespace tutti::tests
