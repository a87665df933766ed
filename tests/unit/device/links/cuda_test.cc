#include "src/device/cuda/links.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/unit/device/links/recorded.h"

namespace tutti::device::cuda {
namespace {

using ir::LinkEnd;

constexpr const char* kVendor = "0x10de";

struct Probed {
  ir::DeviceLinks found;
  std::string reason;
};

Probed probe(const Recorded& machine, const char* library = FAKE_NVML) {
  Probed probed;
  probed.found = probeLinks(library, machine.path(), probed.reason);
  EXPECT_LE(timesOpen(FAKE_NVML), 0);
  return probed;
}

TEST(CudaLinks, DirectOnesWithTheirNumbers) {
  const Recorded machine("v100_8", kVendor);
  const auto [found, reason] = probe(machine);
  EXPECT_EQ(reason, "");
  EXPECT_TRUE(found.notes.empty());
  ASSERT_EQ(found.devices.size(), 8u);
  EXPECT_EQ(found.devices[0], (ir::DeviceModel{"0000:06:00.0", "sm70"}));
  EXPECT_EQ(found.links.size(), 32u);
  EXPECT_EQ(ir::countLinks(found.links), 48);
  const ir::DeviceLink* link = find(found, "0000:06:00.0", "0000:85:00.0");
  ASSERT_NE(link, nullptr);
  EXPECT_EQ(*link, (ir::DeviceLink{"0000:06:00.0", "0000:85:00.0", LinkEnd::kDevice, 2, 20'000'000,
                                   false}));
}

TEST(CudaLinks, SwitchesOldAndNewDriver) {
  const Recorded machine("a100_8", kVendor);
  for (const char* nvswitch : {"c4", "c5", "c6", "c7", "c8", "c9"}) {
    machine.addFunction(fmt::format("0000:{}:00.0", nvswitch), kVendor, "0x068000");
  }
  const Probed now = probe(machine);
  const Probed old = probe(machine, FAKE_NVML_OLD);
  EXPECT_EQ(ir::countLinks(now.found.links), 8 * 12);
  EXPECT_EQ(now.found, old.found) << "the class of the far end tells what its driver does not";
  for (const ir::DeviceLink& link : now.found.links) {
    EXPECT_EQ(link.end, LinkEnd::kSwitch);
    EXPECT_EQ(link.rate, 20'000'000);
  }
}

// In virtual machines switches are no PCI functions.
TEST(CudaLinks, HiddenSwitches) {
  const Recorded machine("", kVendor,
                         "device 0000:01:00.0 90\ndevice 0000:02:00.0 90\n"
                         "switch 0000:01:00.0 - 18 26562\nswitch 0000:02:00.0 - 18 26562\n");
  const Probed now = probe(machine);
  ASSERT_EQ(now.found.links.size(), 2u);
  EXPECT_EQ(now.found.links[0],
            (ir::DeviceLink{"0000:01:00.0", "", LinkEnd::kSwitch, 18, 20'600'000, false}));
  EXPECT_TRUE(now.found.notes.empty());
  const Probed old = probe(machine, FAKE_NVML_OLD);
  EXPECT_EQ(old.found.links, now.found.links);
  EXPECT_TRUE(hasNote(old.found, "0000:01:00.0: the driver does not say where 18 of its links"));
}

TEST(CudaLinks, RatesAreTheModelsButNoMoreThanTheWires) {
  const auto rate = [](const std::string& model, const std::string& wires, const char* library) {
    const Recorded machine("", kVendor,
                           "device 0000:01:00.0 " + model + "\ndevice 0000:02:00.0 " + model +
                               "\nlink 0000:01:00.0 0000:02:00.0 1 " + wires + "\n");
    const Probed probed = probe(machine, library);
    EXPECT_EQ(probed.found.links.size(), 2u);
    return probed.found.links.empty() ? ir::DeviceLink() : probed.found.links[0];
  };
  EXPECT_EQ(rate("90", "26562", FAKE_NVML).rate, 20'600'000);
  EXPECT_EQ(rate("90", "13281", FAKE_NVML).rate, 13'281'000);
  EXPECT_EQ(rate("0", "26562", FAKE_NVML).rate, 26'562'000);
  EXPECT_FALSE(rate("0", "26562", FAKE_NVML).isAssumed);
  EXPECT_EQ(rate("100", "0", FAKE_NVML).rate, 40'100'000);
  EXPECT_EQ(rate("90", "26562", FAKE_NVML_OLD).rate, 20'600'000);
  EXPECT_TRUE(rate("0", "0", FAKE_NVML).isAssumed);
  EXPECT_GT(rate("0", "0", FAKE_NVML).rate, 0);
}

TEST(CudaLinks, LinksThatAreDownAndThoseToTheProcessor) {
  const Recorded machine("", kVendor,
                         "device 0000:01:00.0 70\ndevice 0000:02:00.0 70\ndown 0000:01:00.0 3\n"
                         "host 0000:01:00.0 3 25781\n");
  const Probed probed = probe(machine);
  ASSERT_EQ(probed.found.links.size(), 1u);
  EXPECT_EQ(probed.found.links[0],
            (ir::DeviceLink{"0000:01:00.0", "", LinkEnd::kHost, 3, 20'000'000, false}));
  EXPECT_EQ(probed.found.devices.size(), 2u);
}

TEST(CudaLinks, ADeviceThatFailsMidway) {
  const Recorded machine("v100_8", kVendor, "fails 0000:0a:00.0 15 9\n");
  const Probed probed = probe(machine);
  EXPECT_EQ(probed.reason, "");
  EXPECT_EQ(find(probed.found, "0000:0a:00.0", "0000:06:00.0"), nullptr);
  EXPECT_NE(find(probed.found, "0000:06:00.0", "0000:0a:00.0"), nullptr);
  EXPECT_TRUE(hasNote(probed.found, "0000:0a:00.0: NVML error 15 (GPU is lost) at link"));
  const Recorded gone("v100_8", kVendor, "fails 0000:0a:00.0 15 0\n");
  const Probed without = probe(gone);
  EXPECT_EQ(without.found.devices.size(), 7u);
  EXPECT_TRUE(hasNote(without.found, "device 2: NVML error 15"));
}

TEST(CudaLinks, WhyThereAreNone) {
  const Recorded machine("v100_8", kVendor);
  const auto reasonOf = [](const Recorded& where, const char* library) {
    const Probed probed = probe(where, library);
    EXPECT_EQ(probed.found, ir::DeviceLinks());
    return probed.reason;
  };
  EXPECT_NE(reasonOf(machine, "libnone.so.1").find("libnone.so.1: cannot open"), std::string::npos);
  EXPECT_NE(reasonOf(machine, FAKE_NVML_BROKEN).find("lacks nvmlDeviceGetNvLinkState"),
            std::string::npos);
  const Recorded unloaded("v100_8", kVendor, "init 9\n");
  EXPECT_EQ(reasonOf(unloaded, FAKE_NVML), "NVML error 9 (Driver Not Loaded) from nvmlInit_v2");
  const Recorded foreign("v100_8", "0x1002");
  EXPECT_EQ(reasonOf(foreign, FAKE_NVML), "no PCI device of this vendor (0x10de)");
  const Recorded empty("", kVendor);
  empty.addFunction("0000:01:00.0", kVendor, "0x030000");
  EXPECT_EQ(reasonOf(empty, FAKE_NVML), "none of the driver's 0 devices answers");
}

// Several ranks of one process look at the machine at once.
TEST(CudaLinks, ManyThreads) {
  const Recorded machine("v100_8", kVendor);
  std::vector<ir::DeviceLinks> found(4);
  std::vector<std::thread> threads;
  for (ir::DeviceLinks& each : found) {
    threads.emplace_back([&] {
      std::string reason;
      each = probeLinks(FAKE_NVML, machine.path(), reason);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const ir::DeviceLinks& each : found) EXPECT_EQ(each, found[0]);
  EXPECT_EQ(ir::countLinks(found[0].links), 48);
  EXPECT_EQ(timesOpen(FAKE_NVML), 0);
}

}  // namespace
}  // namespace tutti::device::cuda
