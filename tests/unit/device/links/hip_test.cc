#include "src/device/hip/links.h"

#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/unit/device/links/recorded.h"

namespace tutti::device::hip {
namespace {

constexpr const char* kVendor = "0x1002";

struct Probed {
  ir::DeviceLinks found;
  std::string reason;
};

Probed probe(const Recorded& machine, const std::string& library = FAKE_ROCM_SMI) {
  Probed probed;
  const std::string libraries[] = {"libnone.so.7", library};
  probed.found = probeLinks(libraries, machine.path(), probed.reason);
  EXPECT_LE(timesOpen(FAKE_ROCM_SMI), 0);
  return probed;
}

TEST(HipLinks, WithTheirNumbers) {
  const Recorded machine("mi250x_8", kVendor);
  const auto [found, reason] = probe(machine);
  EXPECT_EQ(reason, "");
  EXPECT_TRUE(found.notes.empty());
  ASSERT_EQ(found.devices.size(), 8u);
  EXPECT_EQ(found.devices[0], (ir::DeviceModel{"0000:29:00.0", "gfx90a"}));
  EXPECT_EQ(found.links.size(), 24u) << "pairs of two hops have no link";
  const ir::DeviceLink* link = find(found, "0000:29:00.0", "0000:2c:00.0");
  ASSERT_NE(link, nullptr);
  EXPECT_EQ(*link, (ir::DeviceLink{"0000:29:00.0", "0000:2c:00.0", ir::LinkEnd::kDevice, 4,
                                   36'000'000, false}));
}

TEST(HipLinks, ModelsAndRates) {
  const Recorded mi300("mi300x_8", kVendor);
  const ir::DeviceLinks found = probe(mi300).found;
  EXPECT_EQ(found.devices[0].model, "gfx942");
  EXPECT_EQ(ir::countLinks(found.links), 56);
  EXPECT_EQ(found.links[0].rate, 48'000'000);
  const auto first = [](const std::string& model, const std::string& wires,
                        const std::string& library) {
    const Recorded machine("", kVendor,
                           "device 0000:01:00.0 " + model + "\ndevice 0000:02:00.0 " + model +
                               "\nlink 0000:01:00.0 0000:02:00.0 2 " + wires + "\n");
    const Probed probed = probe(machine, library);
    EXPECT_EQ(probed.found.links.size(), 2u);
    return probed.found.links.empty() ? ir::DeviceLink() : probed.found.links[0];
  };
  EXPECT_EQ(first("90010", "25000", FAKE_ROCM_SMI).rate, 25'000'000);
  EXPECT_EQ(first("0", "50000", FAKE_ROCM_SMI).rate, 50'000'000);
  EXPECT_EQ(first("90010", "99999999", FAKE_ROCM_SMI).rate, 36'000'000) << "no rate";
  const ir::DeviceLink old = first("90010", "50000", FAKE_ROCM_SMI_OLD);
  EXPECT_EQ(old.count, 1) << "an old library does not say how many links a pair has";
  EXPECT_EQ(old.rate, 36'000'000);
  EXPECT_FALSE(old.isAssumed);
  EXPECT_TRUE(first("0", "50000", FAKE_ROCM_SMI_OLD).isAssumed);
}

TEST(HipLinks, PartitionsOfADeviceAreOne) {
  const Recorded machine("", kVendor,
                         "device 0000:01:00.0 90402\ndevice 0000:01:00.0 90402\n"
                         "device 0000:02:00.0 90402\ndevice 0000:02:00.0 90402\n"
                         "link 0000:01:00.0 0000:02:00.0 1 64000\n");
  const ir::DeviceLinks found = probe(machine).found;
  EXPECT_EQ(found.devices.size(), 2u);
  EXPECT_EQ(ir::countLinks(found.links), 2);
}

TEST(HipLinks, ADeviceThatFailsMidway) {
  const Recorded machine("mi250x_8", kVendor, "fails 0000:2f:00.0 17 5\n");
  const Probed probed = probe(machine);
  EXPECT_EQ(probed.reason, "");
  EXPECT_TRUE(hasNote(probed.found, "ROCm SMI error 17 (what went wrong) when asked for its way"));
  EXPECT_EQ(find(probed.found, "0000:2f:00.0", "0000:32:00.0"), nullptr);
  const Recorded gone("mi250x_8", kVendor, "fails 0000:2f:00.0 17 0\n");
  const Probed without = probe(gone);
  EXPECT_EQ(without.found.devices.size(), 7u);
  EXPECT_NE(find(without.found, "0000:29:00.0", "0000:2c:00.0"), nullptr);
  EXPECT_TRUE(hasNote(without.found, "device 2: ROCm SMI error 17"));
}

TEST(HipLinks, WhyThereAreNone) {
  const Recorded machine("mi250x_8", kVendor);
  const auto reasonOf = [](const Recorded& where, const std::string& library) {
    const Probed probed = probe(where, library);
    EXPECT_EQ(probed.found, ir::DeviceLinks());
    return probed.reason;
  };
  EXPECT_NE(reasonOf(machine, "libnone.so").find("libnone.so.7: cannot open"), std::string::npos);
  EXPECT_NE(reasonOf(machine, FAKE_ROCM_SMI_BROKEN).find("lacks rsmi_topo_get_link_weight"),
            std::string::npos);
  const Recorded unloaded("mi250x_8", kVendor, "init 8\n");
  EXPECT_EQ(reasonOf(unloaded, FAKE_ROCM_SMI), "ROCm SMI error 8 (what went wrong) from rsmi_init");
  const Recorded mute("", kVendor, "device 0000:01:00.0 90010\nfails 0000:01:00.0 17 0\n");
  const Probed probed = probe(mute);
  EXPECT_EQ(probed.reason, "none of the driver's 1 devices answers");
  EXPECT_TRUE(hasNote(probed.found, "device 0: ROCm SMI error 17"));
  // A console of this vendor, and no driver: the library would print, so it is not asked.
  const Recorded console("", kVendor, "init 8\n");
  console.addFunction("0000:01:00.0", kVendor, "0x030000");
  EXPECT_EQ(reasonOf(console, FAKE_ROCM_SMI), "no device of the kernel's driver (/sys/class/kfd)");
}

TEST(HipLinks, ManyThreads) {
  const Recorded machine("mi300x_8", kVendor);
  std::vector<ir::DeviceLinks> found(4);
  std::vector<std::thread> threads;
  for (ir::DeviceLinks& each : found) {
    threads.emplace_back([&] {
      std::string reason;
      const std::string libraries[] = {FAKE_ROCM_SMI};
      each = probeLinks(libraries, machine.path(), reason);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const ir::DeviceLinks& each : found) EXPECT_EQ(each, found[0]);
  EXPECT_EQ(ir::countLinks(found[0].links), 56);
  EXPECT_EQ(timesOpen(FAKE_ROCM_SMI), 0);
}

}  // namespace
}  // namespace tutti::device::hip
