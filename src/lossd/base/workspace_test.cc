#include "lossd/base/workspace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <thread>
#include <vector>

namespace lossd {
namespace {

TEST(WorkspaceTest, BuffersAreApartAndAligned) {
  Workspace workspace;
  std::mt19937 random(1);
  std::vector<Workspace::Buffer<uint32_t>> buffers;
  for (uint32_t i = 0; i < 2000; ++i) {
    if (buffers.size() > 20) {
      const size_t gone = random() % buffers.size();
      const uint32_t first = buffers[gone].size() > 0 ? buffers[gone][0] : 0;
      for (const uint32_t value : buffers[gone]) ASSERT_EQ(value, first);
      std::swap(buffers[gone], buffers.back());
      buffers.pop_back();
    }
    buffers.emplace_back(workspace, random() % 3000);
    ASSERT_EQ(reinterpret_cast<uintptr_t>(buffers.back().data()) % 64, 0U);
    std::fill(buffers.back().begin(), buffers.back().end(), i);
  }
}

TEST(WorkspaceTest, ServesTheSameAgainWithoutNewMemory) {
  Workspace workspace;
  size_t peak = 0;
  for (int round = 0; round < 3; ++round) {
    {
      const Workspace::Buffer<char> large(workspace, 10000000);
    }
    const Workspace::Buffer<char> a(workspace, 6000000);  // Both fit where the large one was.
    const Workspace::Buffer<char> b(workspace, 3000000);
    if (round == 0) peak = workspace.bytes();
    EXPECT_EQ(workspace.bytes(), peak);
    EXPECT_LT(peak, 10100000U);
  }
}

// Memory that says how much of it is taken.
class CountedMemory final : public ChunkMemory {
 public:
  std::byte* Take(size_t bytes, size_t alignment) override {
    taken += bytes;
    return ChunkMemory::Take(bytes, alignment);
  }
  void Give(std::byte* chunk, size_t bytes, size_t alignment) noexcept override {
    taken -= bytes;
    ChunkMemory::Give(chunk, bytes, alignment);
  }

  size_t taken = 0;
};

TEST(WorkspaceTest, TakesMemoryFromWhereItIsTold) {
  const auto memory = std::make_shared<CountedMemory>();
  {
    Workspace workspace(memory);
    {
      const Workspace::Buffer<char> buffer(workspace, 40 << 20);
      EXPECT_EQ(memory->taken, workspace.bytes());
    }
    EXPECT_GE(memory->taken, 40U << 20) << "kept";
    workspace.GiveBack();
    EXPECT_EQ(memory->taken, 0U);
    const Workspace::Buffer<char> again(workspace, 1);
    EXPECT_GT(memory->taken, 0U);
  }
  EXPECT_EQ(memory->taken, 0U);
}

TEST(WorkspaceTest, KeepsNoMoreThanTwiceThePeak) {
  Workspace workspace;
  constexpr size_t kLargest = 40 << 20;
  for (size_t size = 10 << 20; size <= kLargest; size += 3 << 20) {
    const Workspace::Buffer<char> buffer(workspace, size);
  }
  EXPECT_LE(workspace.bytes(), 2 * kLargest);
}

TEST(WorkspaceTest, GrowsNoFurtherThanWhatWasHeldAtOnce) {
  Workspace workspace;
  const Workspace::Buffer<char> held(workspace, 1 << 20);
  for (size_t size = 10 << 20; size <= 40 << 20; size += 10 << 20) {
    {
      const Workspace::Buffer<char> buffer(workspace, size);
    }
    EXPECT_LE(workspace.bytes(), size + (3 << 20));
  }
}

TEST(WorkspaceTest, GivesBackAllThatNobodyHolds) {
  Workspace workspace;
  const Workspace::Buffer<char> held(workspace, 3 << 20);
  {
    const Workspace::Buffer<char> other(workspace, 20 << 20);
    EXPECT_LT(workspace.kept(), 3U << 20);
  }
  EXPECT_GE(workspace.kept(), 20U << 20);
  workspace.GiveBack();
  EXPECT_LT(workspace.kept(), 3U << 20);
  EXPECT_GE(workspace.bytes(), 3U << 20);
}

TEST(WorkspaceTest, GivesBackWhatHasNotBeenNeededLately) {
  Workspace workspace;
  const absl::Time start = absl::UnixEpoch();
  workspace.Decay(start);
  {
    const Workspace::Buffer<char> large(workspace, 30 << 20);
    const Workspace::Buffer<char> small(workspace, 3 << 20);
  }
  const size_t all = workspace.bytes();
  // A period in which it was needed, and one in which some of it was.
  workspace.Decay(start + Workspace::kPeriod);
  EXPECT_EQ(workspace.bytes(), all);
  const auto use_little = [&] { const Workspace::Buffer<char> small(workspace, 3 << 20); };
  use_little();
  workspace.Decay(start + 1.9 * Workspace::kPeriod);
  EXPECT_EQ(workspace.bytes(), all);
  // What is needed still, stays.
  workspace.Decay(start + 2 * Workspace::kPeriod);
  EXPECT_LT(workspace.bytes(), all - (29 << 20));
  EXPECT_GE(workspace.bytes(), 3U << 20);
  const size_t little = workspace.bytes();
  use_little();
  EXPECT_EQ(workspace.bytes(), little);
  workspace.Decay(start + 3 * Workspace::kPeriod);
  EXPECT_EQ(workspace.bytes(), little);
  // Nobody needs anything.
  workspace.Decay(start + 4 * Workspace::kPeriod);
  EXPECT_EQ(workspace.bytes(), 0U);
  use_little();
}

TEST(WorkspaceTest, KeepsWhatIsHeld) {
  Workspace workspace;
  const absl::Time start = absl::UnixEpoch();
  {
    const Workspace::Buffer<char> long_held(workspace, 3 << 20);
    std::fill(long_held.begin(), long_held.end(), 'x');
    for (int period = 0; period < 5; ++period) {
      workspace.Decay(start + period * Workspace::kPeriod);
      const Workspace::Buffer<char> other(workspace, 3 << 20);
      std::fill(other.begin(), other.end(), 'y');
    }
    EXPECT_EQ(std::count(long_held.begin(), long_held.end(), 'x'), 3 << 20);
  }
  // It was held in the last period.
  workspace.Decay(start + 4.5 * Workspace::kPeriod);
  EXPECT_GE(workspace.bytes(), 6U << 20);
}

TEST(WorkspaceTest, ThreadsMayShareIt) {
  Workspace workspace;
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&workspace, thread] {
      for (size_t i = 0; i < 500; ++i) {
        const Workspace::Buffer<int> buffer(workspace, 1 + i % 100);
        std::fill(buffer.begin(), buffer.end(), thread);
        ASSERT_EQ(std::count(buffer.begin(), buffer.end(), thread),
                  static_cast<int64_t>(buffer.size()));
      }
    });
  }
}

}  // namespace
}  // namespace lossd
