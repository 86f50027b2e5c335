#include "lossd/base/available_cores.h"

#include <gtest/gtest.h>
#include <sched.h>

#include <string>
#include <thread>

#include "lossd/base/fake_root.h"

namespace lossd {
namespace {

class CgroupCoresTest : public testing::Test {
 protected:
  void Write(const std::string& file, const std::string& text) const { root_.Write(file, text); }
  std::optional<int> Cores() const { return CgroupCores(root_.path()); }

 private:
  const FakeRoot root_;
};

TEST_F(CgroupCoresTest, Version2) {
  EXPECT_EQ(Cores(), std::nullopt);
  Write("proc/self/cgroup", "0::/\n");
  EXPECT_EQ(Cores(), std::nullopt);
  Write("sys/fs/cgroup/cpu.max", "max 100000\n");
  EXPECT_EQ(Cores(), std::nullopt);
  Write("sys/fs/cgroup/cpu.max", "400000 100000\n");
  EXPECT_EQ(Cores(), 4);
  Write("sys/fs/cgroup/cpu.max", "250000 100000\n");
  EXPECT_EQ(Cores(), 3);
  Write("sys/fs/cgroup/cpu.max", "20000 100000\n");
  EXPECT_EQ(Cores(), 1);
}

TEST_F(CgroupCoresTest, TheTightestGroupOnTheWayUpCounts) {
  Write("proc/self/cgroup", "0::/pods/pod/container\n");
  Write("sys/fs/cgroup/pods/pod/container/cpu.max", "max 100000\n");
  Write("sys/fs/cgroup/pods/pod/cpu.max", "200000 100000\n");
  Write("sys/fs/cgroup/pods/cpu.max", "800000 100000\n");
  EXPECT_EQ(Cores(), 2);
}

TEST_F(CgroupCoresTest, APathOfTheMachineSeenInAContainer) {
  Write("proc/self/cgroup", "0::/pods/pod/container\n");
  Write("sys/fs/cgroup/cpu.max", "300000 100000\n");
  EXPECT_EQ(Cores(), 3);
}

TEST_F(CgroupCoresTest, Version1) {
  Write("proc/self/cgroup", "5:memory:/docker/abc\n4:cpu,cpuacct:/docker/abc\n1:name=systemd:/\n");
  Write("sys/fs/cgroup/cpu/docker/abc/cpu.cfs_period_us", "50000\n");
  Write("sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us", "-1\n");
  EXPECT_EQ(Cores(), std::nullopt);
  Write("sys/fs/cgroup/cpu/docker/abc/cpu.cfs_quota_us", "75000\n");
  EXPECT_EQ(Cores(), 2);
}

TEST_F(CgroupCoresTest, WhatCannotBeReadBoundsNothing) {
  Write("proc/self/cgroup", "nonsense\n0::/\n");
  for (const std::string text : {"", "1", "a b", "100000 0", "0 100000", "nan 100000"}) {
    Write("sys/fs/cgroup/cpu.max", text);
    EXPECT_EQ(Cores(), std::nullopt) << text;
  }
}

TEST(AvailableCoresTest, FollowsTheAffinity) {
  EXPECT_GE(AvailableCores(), 1);
  // On a thread of its own, which keeps the others' affinity as it is.
  std::jthread([] {
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(sched_getcpu(), &one);
    ASSERT_EQ(sched_setaffinity(0, sizeof(one), &one), 0);
    EXPECT_EQ(AvailableCores(), 1);
  }).join();
}

}  // namespace
}  // namespace lossd
