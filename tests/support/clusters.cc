#include "tests/support/fabrics.h"
#include "tests/support/parts.h"

namespace tutti::tests {
namespace {

using topology::LinkKind;
using topology::NodeIndex;
using topology::NodeKind;
using topology::Topology;

std::string boxName(int box) { return "box" + std::to_string(box); }

std::vector<NodeIndex> addDevices(Topology& fabric, int box, int count, const char* vendor) {
  std::vector<NodeIndex> devices;
  for (int i = 0; i < count; ++i) {
    devices.push_back(
        addRank(fabric, boxName(box) + ".gpu" + std::to_string(i), boxName(box), vendor));
  }
  return devices;
}

std::vector<NodeIndex> addSwitchedBox(Topology& fabric, int box, int64_t capacity) {
  const auto devices = addDevices(fabric, box, 8, "nvidia");
  const NodeIndex hub = addSwitch(fabric, boxName(box) + ".nvswitch", boxName(box));
  for (const NodeIndex device : devices) join(fabric, device, hub, capacity, LinkKind::kDevice);
  return devices;
}

std::vector<NodeIndex> addMeshedBox(Topology& fabric, int box, int64_t capacity) {
  const auto devices = addDevices(fabric, box, 8, "amd");
  for (size_t i = 0; i < devices.size(); ++i) {
    for (size_t j = 0; j < i; ++j) {
      join(fabric, devices[j], devices[i], capacity, LinkKind::kDevice);
    }
  }
  return devices;
}

// A NIC between `device` and `network`.
void attach(Topology& fabric, NodeIndex device, NodeIndex network, int64_t capacity) {
  const topology::Node node = fabric.nodes[static_cast<size_t>(device)];
  const NodeIndex nic = addForwarder(fabric, NodeKind::kNic, node.id + ".nic", node.host);
  join(fabric, device, nic, capacity, LinkKind::kPci);
  join(fabric, nic, network, capacity, LinkKind::kNetwork);
}

using Boxes = std::vector<std::vector<NodeIndex>>;

void addRails(Topology& fabric, const Boxes& boxes, const Rails& rails) {
  if (boxes.size() < 2) return;
  for (size_t rail = 0; rail < boxes[0].size(); ++rail) {
    const NodeIndex network = addSwitch(fabric, "rail" + std::to_string(rail));
    for (size_t box = 0; box < boxes.size(); ++box) {
      if (box == 0 && static_cast<int>(rail) >= rails.nicsOfFirstBox) continue;
      attach(fabric, boxes[box][rail], network, box == 0 ? rails.ofFirstBox : rails.capacity);
    }
  }
}

// Between dies a and b, `count` links of 50 GB/s.
struct DieLink {
  int a, b, count;
};
constexpr DieLink kDieLinks[] = {
    {0, 1, 4},   {0, 4, 2},   {0, 8, 1},   {1, 5, 1},   {1, 9, 1},   {1, 10, 1},  {2, 3, 4},
    {2, 6, 1},   {2, 9, 1},   {2, 10, 1},  {3, 7, 2},   {3, 11, 1},  {4, 5, 4},   {4, 6, 1},
    {5, 6, 1},   {5, 7, 1},   {6, 7, 4},   {8, 9, 4},   {8, 12, 2},  {9, 13, 1},  {10, 11, 4},
    {10, 14, 1}, {11, 15, 2}, {12, 13, 4}, {12, 14, 1}, {13, 14, 1}, {13, 15, 1}, {14, 15, 4}};

}  // namespace

Topology dgxA100(int boxes) {
  Topology fabric{.name = "dgx-a100 x " + std::to_string(boxes)};
  Boxes devices;
  for (int box = 0; box < boxes; ++box) {
    devices.push_back(addSwitchedBox(fabric, box, 300 * kGigabyte));
  }
  if (boxes < 2) return fabric;
  const NodeIndex networks[] = {addSwitch(fabric, "ib0"), addSwitch(fabric, "ib1")};
  for (const auto& box : devices) {
    for (size_t i = 0; i < box.size(); ++i) attach(fabric, box[i], networks[i % 2], 25 * kGigabyte);
  }
  return fabric;
}

Topology h100(int boxes, const Rails& rails) {
  Topology fabric{.name = "h100 x " + std::to_string(boxes)};
  Boxes devices;
  for (int box = 0; box < boxes; ++box) {
    devices.push_back(addSwitchedBox(fabric, box, 450 * kGigabyte));
  }
  addRails(fabric, devices, rails);
  return fabric;
}

Topology mi300x(int boxes, const Rails& rails) {
  Topology fabric{.name = "mi300x x " + std::to_string(boxes)};
  Boxes devices;
  for (int box = 0; box < boxes; ++box) {
    devices.push_back(addMeshedBox(fabric, box, 64 * kGigabyte));
  }
  addRails(fabric, devices, rails);
  return fabric;
}

Topology mixedBoxes() {
  Topology fabric{.name = "h100 + mi300x"};
  const Boxes devices = {addSwitchedBox(fabric, 0, 450 * kGigabyte),
                         addMeshedBox(fabric, 1, 64 * kGigabyte)};
  addRails(fabric, devices, {});
  return fabric;
}

Topology dgx1v() {
  Topology fabric{.name = "dgx-1v"};
  const auto devices = addDevices(fabric, 0, 8, "nvidia");
  constexpr DieLink kLinks[] = {{0, 1, 1}, {0, 2, 1}, {1, 3, 1}, {2, 6, 1}, {3, 7, 1}, {4, 5, 1},
                                {4, 6, 1}, {5, 7, 1}, {0, 3, 2}, {0, 4, 2}, {1, 2, 2}, {1, 5, 2},
                                {2, 3, 2}, {4, 7, 2}, {5, 6, 2}, {6, 7, 2}};
  for (const DieLink& link : kLinks) {
    for (int i = 0; i < link.count; ++i) {
      join(fabric, devices[static_cast<size_t>(link.a)], devices[static_cast<size_t>(link.b)],
           25 * kGigabyte, LinkKind::kDevice);
    }
  }
  return fabric;
}

Topology mi250(int boxes, int dies) {
  Topology fabric{.name = "mi250 x " + std::to_string(boxes)};
  Boxes devices;
  for (int box = 0; box < boxes; ++box) {
    const auto& all = devices.emplace_back(addDevices(fabric, box, dies, "amd"));
    for (const DieLink& link : kDieLinks) {
      if (link.a >= dies || link.b >= dies) continue;
      for (int i = 0; i < link.count; ++i) {
        join(fabric, all[static_cast<size_t>(link.a)], all[static_cast<size_t>(link.b)],
             50 * kGigabyte, LinkKind::kDevice);
      }
    }
  }
  if (boxes < 2) return fabric;
  const NodeIndex network = addSwitch(fabric, "ib");
  for (const auto& box : devices) {
    for (const NodeIndex die : box) {
      join(fabric, die, network, 16 * kGigabyte, LinkKind::kNetwork);
    }
  }
  return fabric;
}

}  // namespace tutti::tests
