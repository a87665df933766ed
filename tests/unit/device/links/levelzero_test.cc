#include "src/device/levelzero/links.h"

#include <dlfcn.h>
#include <gtest/gtest.h>

#include <thread>
#include <vector>

#include "tests/unit/device/links/recorded.h"

namespace tutti::device::levelzero {
namespace {

constexpr const char* kVendor = "0x8086";

struct Probed {
  ir::DeviceLinks found;
  std::string reason;
};

// The fakes have no shutdown either, so each machine is told to them anew.
Probed probe(const Recorded& machine, const char* library = FAKE_ZE_LOADER,
             bool isSysmanEnabled = false) {
  void* handle = dlopen(library, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
  if (handle != nullptr) reinterpret_cast<void (*)()>(dlsym(handle, "fakeReset"))();
  Probed probed;
  probed.found = probeLinks(library, machine.path(), isSysmanEnabled, probed.reason);
  if (handle != nullptr) dlclose(handle);
  return probed;
}

TEST(LevelZeroLinks, PortsOfAllPiecesOfADevice) {
  const Recorded machine("max1550_4", kVendor);
  const auto [found, reason] = probe(machine);
  EXPECT_EQ(reason, "");
  EXPECT_TRUE(found.notes.empty());
  EXPECT_EQ(found.devices.size(), 4u);
  EXPECT_EQ(found.links.size(), 12u);
  const ir::DeviceLink* link = find(found, "0000:18:00.0", "0000:ca:00.0");
  ASSERT_NE(link, nullptr);
  EXPECT_EQ(*link, (ir::DeviceLink{"0000:18:00.0", "0000:ca:00.0", ir::LinkEnd::kDevice, 5,
                                   26'563'000, false}));
}

TEST(LevelZeroLinks, OldLoaderOnlyWhereSysmanIsEnabled) {
  const Recorded machine("max1550_4", kVendor);
  const Probed disabled = probe(machine, FAKE_ZE_LOADER_OLD);
  EXPECT_EQ(disabled.found, ir::DeviceLinks());
  EXPECT_NE(disabled.reason.find("has no zesInit: install version 1.9"), std::string::npos);
  const Probed enabled = probe(machine, FAKE_ZE_LOADER_OLD, true);
  EXPECT_EQ(enabled.found, probe(machine).found);
}

TEST(LevelZeroLinks, RateThatIsNotKnown) {
  const Recorded machine("", kVendor,
                         "device 0000:01:00.0 0\ndevice 0000:02:00.0 0\ndevice 0000:03:00.0 0\n"
                         "link 0000:01:00.0 0000:02:00.0 2 0\n");
  const Probed probed = probe(machine);
  ASSERT_EQ(probed.found.links.size(), 2u);
  EXPECT_EQ(probed.found.links[0].count, 2);
  EXPECT_EQ(probed.found.links[0].rate, 26'500'000);
  EXPECT_TRUE(probed.found.links[0].isAssumed);
  EXPECT_EQ(probed.found.devices.size(), 3u);
}

TEST(LevelZeroLinks, ADeviceThatFailsMidway) {
  const Recorded machine("max1550_4", kVendor, "fails 0000:9b:00.0 1879048193 4\n");
  const Probed probed = probe(machine);
  EXPECT_EQ(probed.reason, "");
  EXPECT_TRUE(hasNote(probed.found, "0000:9b:00.0: Level Zero error 0x70000001 at its ports"));
  EXPECT_TRUE(hasNote(probed.found, "0000:18:00.0: 4 of its ports lead to none that is up here"));
  EXPECT_EQ(probed.found.links.size(), 6u);
}

TEST(LevelZeroLinks, WhyThereAreNone) {
  const Recorded machine("max1550_4", kVendor);
  const auto reasonOf = [](const Recorded& where, const char* library) {
    const Probed probed = probe(where, library);
    EXPECT_EQ(probed.found, ir::DeviceLinks());
    return probed.reason;
  };
  EXPECT_NE(reasonOf(machine, "libnone.so.1").find("libnone.so.1: cannot open"), std::string::npos);
  EXPECT_NE(reasonOf(machine, FAKE_ZE_LOADER_BROKEN).find("lacks zesFabricPortGetState"),
            std::string::npos);
  const Recorded unloaded("max1550_4", kVendor, "init 2013265921\n");
  EXPECT_EQ(reasonOf(unloaded, FAKE_ZE_LOADER), "Level Zero error 0x78000001 from its init");
  const Recorded foreign("max1550_4", "0x10de");
  EXPECT_EQ(reasonOf(foreign, FAKE_ZE_LOADER), "no PCI device of this vendor (0x8086)");
}

TEST(LevelZeroLinks, ManyThreads) {
  const Recorded machine("max1550_4", kVendor);
  const ir::DeviceLinks expected = probe(machine).found;
  std::vector<ir::DeviceLinks> found(4);
  std::vector<std::thread> threads;
  for (ir::DeviceLinks& each : found) {
    threads.emplace_back([&] {
      std::string reason;
      each = probeLinks(FAKE_ZE_LOADER, machine.path(), false, reason);
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const ir::DeviceLinks& each : found) EXPECT_EQ(each, expected);
}

}  // namespace
}  // namespace tutti::device::levelzero
