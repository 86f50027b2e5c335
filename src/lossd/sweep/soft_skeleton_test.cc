#include "lossd/sweep/soft_skeleton.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <random>
#include <vector>

namespace lossd {
namespace {

struct SkeletonAndGradient {
  std::vector<float> skeleton;
  std::vector<float> gradient;  // Of half the sum of its squares.
};

SkeletonAndGradient Compute(const VolumeShape& shape, const std::vector<float>& volume,
                            int64_t num_iters, int threads) {
  TaskPool pool(threads);
  const int64_t plane = shape.plane.voxels();
  SkeletonAndGradient result;
  ForEachSkeletonPlane(shape, volume.data(), num_iters, pool, [&](int64_t z, const float* values) {
    EXPECT_EQ(result.skeleton.size(), z * plane) << "planes come in order";
    result.skeleton.insert(result.skeleton.end(), values, values + plane);
  });
  result.gradient.resize(volume.size());
  AddSkeletonGradient(
      shape, volume.data(), num_iters, pool,
      [&](int64_t z, float* values) {
        std::copy_n(result.skeleton.begin() + z * plane, plane, values);
      },
      result.gradient.data());
  return result;
}

// SoftClDiceLossTest compares it with LibTorch's expression.
TEST(SoftSkeletonTest, DoesNotDependOnThreads) {
  const VolumeShape shape = {.plane = {.y = 90, .x = 110, .has_z = true}, .z = 19};
  std::mt19937 random(1);  // NOLINT(cert-msc51-cpp): the same in every run.
  std::vector<float> volume(static_cast<size_t>(shape.z * shape.plane.voxels()));
  for (float& value : volume) value = static_cast<float>(random() % 16) / 16;
  for (const int64_t num_iters : {0, 3, 12}) {
    const SkeletonAndGradient alone = Compute(shape, volume, num_iters, 1);
    const SkeletonAndGradient shared = Compute(shape, volume, num_iters, 4);
    EXPECT_EQ(alone.skeleton, shared.skeleton);
    EXPECT_EQ(alone.gradient, shared.gradient);
    EXPECT_THAT(alone.gradient, ::testing::Contains(::testing::Gt(0)));
  }
}

}  // namespace
}  // namespace lossd
