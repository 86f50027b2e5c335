#include "lossd/malis/affinities.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <limits>
#include <random>
#include <vector>

namespace lossd {
namespace {

template <typename Int>
class AffinitiesTest : public testing::Test {
 protected:
  // Small ids and those at the ends of the type: 0 is background, whatever the type.
  static std::vector<Int> RandomLabels(size_t size, std::mt19937& random) {
    const Int ids[] = {0, 1, 2, std::numeric_limits<Int>::max(),
                       static_cast<Int>(std::numeric_limits<Int>::min() + 1)};
    std::vector<Int> labels(size);
    for (size_t v = 0; v < size; ++v) {
      labels[v] = v > 0 && random() % 2 == 0 ? labels[v - 1] : ids[random() % std::size(ids)];
    }
    return labels;
  }
};

using Ints =
    testing::Types<int8_t, uint8_t, int16_t, uint16_t, int32_t, uint32_t, int64_t, uint64_t>;
TYPED_TEST_SUITE(AffinitiesTest, Ints);

TYPED_TEST(AffinitiesTest, AreOneWithinAnObject) {
  const std::vector<Offset> neighborhood = {{.z = -1, .y = 0, .x = 0}, {.z = 0, .y = 0, .x = 1},
                                            {.z = 0, .y = 0, .x = 0},  {.z = 2, .y = -1, .x = 3},
                                            {.z = 0, .y = 0, .x = 90}, {.z = 0, .y = -2, .x = 0}};
  const GridShape shape = {.z = 9, .y = 5, .x = 19};
  const auto voxels = static_cast<size_t>(shape.voxels());
  std::mt19937 random(1);
  const std::vector<TypeParam> labels = this->RandomLabels(voxels, random);
  for (const int threads : {1, 3}) {
    TaskPool pool(threads);
    std::vector<uint8_t> affinity(neighborhood.size() * voxels, 9);
    AffinitiesFromLabels<TypeParam>(shape, neighborhood, labels, pool, absl::MakeSpan(affinity));
    size_t edge = 0;
    for (const Offset& offset : neighborhood) {
      for (int64_t z = 0; z < shape.z; ++z) {
        for (int64_t y = 0; y < shape.y; ++y) {
          for (int64_t x = 0; x < shape.x; ++x, ++edge) {
            const int64_t oz = z + offset.z;
            const int64_t oy = y + offset.y;
            const int64_t ox = x + offset.x;
            const TypeParam label = labels[(z * shape.y + y) * shape.x + x];
            const bool inside =
                oz >= 0 && oz < shape.z && oy >= 0 && oy < shape.y && ox >= 0 && ox < shape.x;
            const bool same =
                inside && label != 0 && label == labels[(oz * shape.y + oy) * shape.x + ox];
            ASSERT_EQ(affinity[edge], same ? 1 : 0)
                << "edge " << edge << ", " << threads << " threads";
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace lossd
