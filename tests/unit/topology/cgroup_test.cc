#include "topology/cgroup.h"

#include <gtest/gtest.h>

#include "tests/unit/topology/fake_root.h"

namespace tutti::topology {
namespace {

TEST(Cgroup, NoFilesMeanNoLimits) {
  const FakeRoot root;
  EXPECT_EQ(readCgroupLimits(root.path()).cpus, 0);
  EXPECT_EQ(readCgroupLimits(root.path()).memoryBytes, 0u);
}

TEST(Cgroup, Version2TakesTheTightestAncestor) {
  const FakeRoot root;
  root.write("/proc/self/cgroup", "0::/a/b\n");
  root.write("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
  root.write("/sys/fs/cgroup/a/cpu.max", "150000 100000\n");
  root.write("/sys/fs/cgroup/cpu.max", "400000 100000\n");
  root.write("/sys/fs/cgroup/a/b/memory.max", "1048576\n");
  root.write("/sys/fs/cgroup/a/memory.max", "max\n");
  EXPECT_DOUBLE_EQ(readCgroupLimits(root.path()).cpus, 1.5);
  EXPECT_EQ(readCgroupLimits(root.path()).memoryBytes, 1048576u);
}

TEST(Cgroup, Version1) {
  const FakeRoot root;
  root.write("/proc/self/cgroup", "9:name=systemd:/\n4:memory:/job\n2:cpu,cpuacct:/job\n0::/\n");
  root.write("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_quota_us", "50000\n");
  root.write("/sys/fs/cgroup/cpu,cpuacct/job/cpu.cfs_period_us", "100000\n");
  root.write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
  root.write("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
  root.write("/sys/fs/cgroup/memory/job/memory.limit_in_bytes", "2097152\n");
  root.write("/sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_DOUBLE_EQ(readCgroupLimits(root.path()).cpus, 0.5);
  EXPECT_EQ(readCgroupLimits(root.path()).memoryBytes, 2097152u);
}

// In a container the group's path may lie outside of what is mounted; its own files are at the top.
TEST(Cgroup, PathOutsideOfTheMount) {
  const FakeRoot root;
  root.write("/proc/self/cgroup", "0::/../../other\n");
  root.write("/sys/fs/cgroup/cpu.max", "200000 100000\n");
  EXPECT_DOUBLE_EQ(readCgroupLimits(root.path()).cpus, 2);
}

TEST(Cgroup, GarbageMeansNoLimit) {
  const FakeRoot root;
  root.write("/proc/self/cgroup", "0::/a\nnonsense\n::\n");
  root.write("/sys/fs/cgroup/a/cpu.max", "100000");
  root.write("/sys/fs/cgroup/a/memory.max", "-5");
  root.write("/sys/fs/cgroup/cpu.max", "100000 0");
  EXPECT_EQ(readCgroupLimits(root.path()).cpus, 0);
  EXPECT_EQ(readCgroupLimits(root.path()).memoryBytes, 0u);
}

}  // namespace
}  // namespace tutti::topology
