// A machine from a recording: what its fake drivers answer, and its /sys.
#pragma once

#include <string>

#include "src/ir/device_links.h"
#include "tests/fakes/recording.h"
#include "tests/unit/topology/fake_root.h"

namespace tutti::device {

// tests/fakes/recordings/<name>.txt and more lines after it; "" is no file. The fakes answer from
// it while this lives. Devices have PCI class `type` and that vendor.
class Recorded : public topology::FakeRoot {
 public:
  Recorded(const std::string& name, const std::string& vendor, const std::string& more = {},
           const std::string& type = "0x030200");
  ~Recorded();

  void addFunction(const std::string& address, const std::string& vendor,
                   const std::string& type) const;
  const std::string& address(size_t device) const { return recording_.devices[device].address; }

 private:
  void addKernelNode(int node, const fakes::Device& device) const;

  fakes::Recording recording_;
};

// How often a fake library is open; -1: it is no fake. Each init must have its shutdown.
int timesOpen(const char* library);

// The link from one address to another, or null.
const ir::DeviceLink* find(const ir::DeviceLinks& found, const std::string& from,
                           const std::string& to);

bool hasNote(const ir::DeviceLinks& found, const std::string& words);

}  // namespace tutti::device
