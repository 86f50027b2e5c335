#include "lossd/maximin/workspace.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <random>
#include <thread>
#include <vector>

namespace lossd {
namespace {

TEST(MalisWorkspaceTest, BuffersAreApartAndAligned) {
  MalisWorkspace workspace;
  std::mt19937 random(1);
  std::vector<MalisWorkspace::Buffer<uint32_t>> buffers;
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

TEST(MalisWorkspaceTest, ServesTheSameAgainWithoutNewMemory) {
  MalisWorkspace workspace;
  size_t peak = 0;
  for (int round = 0; round < 3; ++round) {
    {
      const MalisWorkspace::Buffer<char> large(workspace, 100000);
    }
    const MalisWorkspace::Buffer<char> a(workspace, 60000);  // Both fit where the large one was.
    const MalisWorkspace::Buffer<char> b(workspace, 30000);
    if (round == 0) peak = workspace.bytes();
    EXPECT_EQ(workspace.bytes(), peak);
    EXPECT_LT(peak, 101000U);
  }
}

TEST(MalisWorkspaceTest, ThreadsMayShareIt) {
  MalisWorkspace workspace;
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&workspace, thread] {
      for (size_t i = 0; i < 500; ++i) {
        const MalisWorkspace::Buffer<int> buffer(workspace, 1 + i % 100);
        std::fill(buffer.begin(), buffer.end(), thread);
        ASSERT_EQ(std::count(buffer.begin(), buffer.end(), thread),
                  static_cast<int64_t>(buffer.size()));
      }
    });
  }
}

}  // namespace
}  // namespace lossd
