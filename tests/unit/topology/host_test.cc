#include "topology/host.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <thread>

#include "tests/unit/topology/fake_root.h"
#include "topology/host_sources.h"

namespace tutti::topology {
namespace {

void expectSane(const HostInfo& info) {
  EXPECT_FALSE(info.cpuModel.empty());
  EXPECT_GE(info.packages, 1);
  EXPECT_GE(info.numaNodes, 1);
  EXPECT_GE(info.cores, 1);
  EXPECT_GE(info.pus, info.cores);
  EXPECT_GE(info.usableCores, 1);
  EXPECT_LE(info.usableCores, info.pus);
  EXPECT_LE(info.l3Count, info.cores);
  EXPECT_GT(info.memoryBytes, uint64_t{16} << 20);
  EXPECT_LE(info.shmFreeBytes, info.shmBytes);
}

TEST(Host, DiscoversThisMachine) {
  const HostInfo info = discoverHost();
  expectSane(info);
  EXPECT_EQ(info.pus, static_cast<int>(allowedPus().size()));
  EXPECT_TRUE(info.source == "hwloc" || info.source == "sysfs") << info.source;
}

TEST(Host, SourcesAgree) {
  const HostInfo info = discoverHost();
  HostInfo other = info;
  readHostFromSysfs(allowedPus(), other);
  EXPECT_EQ(other.source, "sysfs");
  expectSane(other);
  EXPECT_EQ(other.pus, info.pus);
  EXPECT_EQ(other.cores, info.cores);
}

TEST(Host, FastPathAgreesWithTheFullOne) {
  const HostInfo info = discoverHost();
  EXPECT_EQ(usableCores(), info.usableCores);
  EXPECT_EQ(usableMemory(), info.memoryBytes);
  EXPECT_EQ(cpuModel(), info.cpuModel);
}

TEST(Host, UsableCoresFollowTheAffinity) {
  const auto whole = std::pair(allowedPus().size(), coreSetDigest());
  std::thread([whole] {
    const int first = allowedPus().front();
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<size_t>(first), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    EXPECT_EQ(allowedPus(), std::vector<int>{first});
    EXPECT_EQ(usableCores(), 1);
    const uint64_t digest = coreSetDigest();
    EXPECT_EQ(digest == whole.second, whole.first == 1);
    std::thread([digest] { EXPECT_EQ(coreSetDigest(), digest); }).join();
    const HostInfo info = discoverHost();
    EXPECT_EQ(info.pus, 1);
    EXPECT_EQ(info.cores, 1);
  }).join();
}

// Two packages of one core with two threads each; the process may use three threads.
TEST(Host, ReadsSysfs) {
  const FakeRoot root;
  for (int pu = 0; pu < 4; ++pu) {
    const std::string cpu = "/sys/devices/system/cpu/cpu" + std::to_string(pu);
    const std::string siblings = pu < 2 ? "0-1\n" : "2-3\n";
    root.write(cpu + "/topology/physical_package_id", pu < 2 ? "0\n" : "1\n");
    root.write(cpu + "/topology/thread_siblings_list", siblings);
    root.write(cpu + "/cache/index0/level", "1\n");
    root.write(cpu + "/cache/index1/level", "2\n");
    root.write(cpu + "/cache/index1/size", "1024K\n");
    root.write(cpu + "/cache/index1/shared_cpu_list", siblings);
    root.write(cpu + "/cache/index2/level", "3\n");
    root.write(cpu + "/cache/index2/size", "32M\n");
    root.write(cpu + "/cache/index2/shared_cpu_list", "0-3\n");
  }
  for (const char* name : {"node0", "node1", "possible"}) {
    root.write(std::string("/sys/devices/system/node/") + name + "/x", "");
  }
  HostInfo info;
  readHostFromSysfs({0, 1, 2}, info, root.path());
  EXPECT_EQ(info.packages, 2);
  EXPECT_EQ(info.cores, 2);
  EXPECT_EQ(info.pus, 3);
  EXPECT_EQ(info.numaNodes, 2);
  EXPECT_EQ(info.l2Count, 2);
  EXPECT_EQ(info.l2Bytes, uint64_t{1} << 20);
  EXPECT_EQ(info.l3Count, 1);
  EXPECT_EQ(info.l3Bytes, uint64_t{32} << 20);
}

}  // namespace
}  // namespace tutti::topology
