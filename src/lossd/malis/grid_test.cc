#include "lossd/malis/grid.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <limits>
#include <vector>

namespace lossd {
namespace {

constexpr GridShape kShape = {.z = 3, .y = 2, .x = 5};

// How often ForEachRow visits each voxel of the edges of `offset`.
std::vector<int> Visits(const EdgeBox& box, int64_t z_begin, int64_t z_end) {
  std::vector<int> visits(kShape.voxels(), 0);
  ForEachRow(kShape, box, z_begin, z_end, [&](int64_t first, int64_t count) {
    for (int64_t v = first; v < first + count; ++v) ++visits[v];
  });
  return visits;
}

TEST(GridTest, EdgesAreThoseThatStayInside) {
  for (int64_t dz = -4; dz <= 4; ++dz) {
    for (int64_t dy = -3; dy <= 3; ++dy) {
      for (int64_t dx = -6; dx <= 6; ++dx) {
        const Offset offset = {.z = dz, .y = dy, .x = dx};
        const EdgeBox box = EdgesOf(kShape, offset);
        const std::vector<int> visits = Visits(box, 0, kShape.z);
        bool any = false;
        size_t v = 0;
        for (int64_t z = 0; z < kShape.z; ++z) {
          for (int64_t y = 0; y < kShape.y; ++y) {
            for (int64_t x = 0; x < kShape.x; ++x, ++v) {
              const bool inside = z + dz >= 0 && z + dz < kShape.z && y + dy >= 0 &&
                                  y + dy < kShape.y && x + dx >= 0 && x + dx < kShape.x;
              const bool edge = inside && offset != Offset{};
              any = any || edge;
              ASSERT_EQ(visits[v], edge ? 1 : 0) << dz << "," << dy << "," << dx << " at " << v;
            }
          }
        }
        ASSERT_EQ(box.empty(), !any) << dz << "," << dy << "," << dx;
        if (any) {
          ASSERT_EQ(box.stride, (dz * kShape.y + dy) * kShape.x + dx);
        }
      }
    }
  }
}

TEST(GridTest, OffsetsOfAnyLengthAreJustOutside) {
  for (const int64_t far :
       {std::numeric_limits<int64_t>::min(), std::numeric_limits<int64_t>::max()}) {
    EXPECT_TRUE(EdgesOf(kShape, {.z = far, .y = 0, .x = 0}).empty());
    EXPECT_TRUE(EdgesOf(kShape, {.z = 1, .y = 0, .x = far}).empty());
  }
}

TEST(GridTest, RowsCanBeTakenSliceBySlice) {
  const EdgeBox box = EdgesOf(kShape, {.z = -1, .y = 1, .x = 2});
  std::vector<int> sum(kShape.voxels(), 0);
  for (int64_t z = 0; z < kShape.z; ++z) {
    const std::vector<int> visits = Visits(box, z, z + 1);
    for (size_t v = 0; v < sum.size(); ++v) sum[v] += visits[v];
  }
  EXPECT_EQ(sum, Visits(box, 0, kShape.z));
}

}  // namespace
}  // namespace lossd
