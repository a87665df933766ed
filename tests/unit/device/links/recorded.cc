#include "tests/unit/device/links/recorded.h"

#include <dlfcn.h>
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <sstream>

namespace tutti::device {

Recorded::Recorded(const std::string& name, const std::string& vendor, const std::string& more,
                   const std::string& type) {
  std::ostringstream text;
  if (!name.empty()) text << std::ifstream(TUTTI_RECORDINGS "/" + name + ".txt").rdbuf();
  write("/recording.txt", text.str() + more);
  recording_.read(path() + "/recording.txt");
  EXPECT_TRUE(name.empty() || !recording_.devices.empty()) << name;
  setenv(fakes::kRecordingVariable, (path() + "/recording.txt").c_str(), 1);
  write("/sys/class/kfd/kfd/topology/nodes/0/properties", "cpu_cores_count 64\nsimd_count 0\n");
  int node = 0;
  for (const fakes::Device& device : recording_.devices) {
    addFunction(device.address, vendor, type);
    if (vendor == "0x1002") addKernelNode(++node, device);
  }
}

Recorded::~Recorded() { unsetenv(fakes::kRecordingVariable); }

void Recorded::addFunction(const std::string& address, const std::string& vendor,
                           const std::string& type) const {
  const std::string folder = "/sys/bus/pci/devices/" + address;
  write(folder + "/class", type + "\n");
  write(folder + "/vendor", vendor + "\n");
  write(folder + "/device", "0x1234\n");
  write(folder + "/numa_node", "0\n");
  write(folder + "/current_link_speed", "16.0 GT/s PCIe\n");
  write(folder + "/max_link_speed", "16.0 GT/s PCIe\n");
  write(folder + "/current_link_width", "16\n");
}

void Recorded::addKernelNode(int node, const fakes::Device& device) const {
  const uint32_t* place = device.place;
  write(fmt::format("/sys/class/kfd/kfd/topology/nodes/{}/properties", node),
        fmt::format("cpu_cores_count 0\nsimd_count 416\ngfx_target_version {}\nvendor_id 4098\n"
                    "location_id {}\ndomain {}\n",
                    device.model, place[1] << 8 | place[2] << 3 | place[3], place[0]));
}

int timesOpen(const char* library) {
  void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle == nullptr) return -1;
  const auto opened = reinterpret_cast<int (*)()>(dlsym(handle, "fakeOpened"));
  const int times = opened == nullptr ? -1 : opened();
  dlclose(handle);
  return times;
}

const ir::DeviceLink* find(const ir::DeviceLinks& found, const std::string& from,
                           const std::string& to) {
  const auto link =
      std::find_if(found.links.begin(), found.links.end(),
                   [&](const ir::DeviceLink& each) { return each.from == from && each.to == to; });
  return link == found.links.end() ? nullptr : &*link;
}

bool hasNote(const ir::DeviceLinks& found, const std::string& words) {
  return std::any_of(found.notes.begin(), found.notes.end(), [&](const std::string& note) {
    return note.find(words) != std::string::npos;
  });
}

}  // namespace tutti::device
