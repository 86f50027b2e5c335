#include "lossd/base/available_memory.h"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <string>

#include "lossd/base/fake_root.h"
#include "lossd/base/resident_memory.h"

namespace lossd {
namespace {

class CgroupMemoryTest : public testing::Test {
 protected:
  void Write(const std::string& file, const std::string& text) const { root_.Write(file, text); }
  std::optional<int64_t> Memory() const { return CgroupMemory(root_.path()); }

 private:
  const FakeRoot root_;
};

TEST_F(CgroupMemoryTest, Version2) {
  EXPECT_EQ(Memory(), std::nullopt);
  Write("proc/self/cgroup", "0::/pod/container\n");
  EXPECT_EQ(Memory(), std::nullopt);
  Write("sys/fs/cgroup/pod/container/memory.max", "max\n");
  EXPECT_EQ(Memory(), std::nullopt);
  Write("sys/fs/cgroup/pod/container/memory.max", "4294967296\n");
  EXPECT_EQ(Memory(), int64_t{4} << 30);
  Write("sys/fs/cgroup/pod/memory.max", "1073741824\n");
  EXPECT_EQ(Memory(), int64_t{1} << 30);
}

TEST_F(CgroupMemoryTest, Version1) {
  Write("proc/self/cgroup", "5:cpu:/pod\n4:memory:/pod\n");
  Write("sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n");
  EXPECT_EQ(Memory(), std::nullopt);
  Write("sys/fs/cgroup/memory/pod/memory.limit_in_bytes", "2147483648\n");
  EXPECT_EQ(Memory(), int64_t{2} << 30);
}

TEST(AvailableMemoryTest, KeepsWithinTheAddressSpace) {
  rlimit before = {};
  ASSERT_EQ(getrlimit(RLIMIT_AS, &before), 0);
  constexpr int64_t kMore = int64_t{2} << 30;
  const rlimit tight = {.rlim_cur = static_cast<rlim_t>(AddressSpaceBytes() + kMore),
                        .rlim_max = before.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_AS, &tight), 0);
  const int64_t available = AvailableMemory();
  EXPECT_TRUE(IsAddressSpaceBounded());
  ASSERT_EQ(setrlimit(RLIMIT_AS, &before), 0);
  EXPECT_LE(available, ResidentBytes() + kMore);
  EXPECT_GE(available, kMore / 4);
  EXPECT_LT(available, AvailableMemory());
}

}  // namespace
}  // namespace lossd
