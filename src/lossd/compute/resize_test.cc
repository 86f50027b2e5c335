#include "lossd/compute/resize.h"

#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>

#include "lossd/base/testing.h"

namespace lossd {
namespace {

// A line of voxels as [1, 1, 1, 1, X].
at::Tensor Line(const std::vector<float>& values) {
  return torch::tensor(values).view({1, 1, 1, 1, -1});
}

void ExpectLine(const at::Tensor& tensor, const std::vector<float>& values) {
  EXPECT_EQ(tensor.dim(), 5);
  EXPECT_TRUE(at::allclose(tensor.flatten(), torch::tensor(values), 1e-6, 1e-6)) << tensor;
}

class ResizeTest : public testing::Test {
 protected:
  TaskPool pool_{2};
};

TEST_F(ResizeTest, LeavesWhatFitsAlone) {
  const at::Tensor tensor = Line({1, 2, 3});
  EXPECT_TRUE(ResizeNearest(tensor, {1, 1, 3}, pool_).is_same(tensor));
  EXPECT_TRUE(ResizeDense(tensor, {1, 1, 3}, pool_).is_same(tensor));
  const at::Tensor known = tensor > 1;
  EXPECT_TRUE(ResizeKnown(known, {1, 1, 3}, pool_).is_same(known));
}

TEST_F(ResizeTest, NearestTakesTheVoxelAtTheScaledIndex) {
  ExpectLine(ResizeNearest(Line({0, 1, 2, 3, 4, 5}), {1, 1, 3}, pool_), {0, 2, 4});
  ExpectLine(ResizeNearest(Line({0, 1, 2, 3, 4}), {1, 1, 3}, pool_), {0, 1, 3});
  ExpectLine(ResizeNearest(Line({7, 8}), {1, 1, 4}, pool_), {7, 7, 8, 8});
  ExpectLine(ResizeNearest(Line({7, 8}), {1, 1, 5}, pool_), {7, 7, 7, 8, 8});
}

TEST_F(ResizeTest, NearestKeepsEveryDtypeAndBit) {
  const at::Tensor ids =
      torch::tensor({(int64_t{1} << 62) + 1, int64_t{-5}, int64_t{3}, int64_t{4}})
          .view({1, 1, 2, 2});
  const at::Tensor resized = ResizeNearest(ids, {1, 2}, pool_);
  EXPECT_EQ(resized.scalar_type(), at::kLong);
  EXPECT_EQ(resized.flatten()[0].item<int64_t>(), (int64_t{1} << 62) + 1);
  EXPECT_EQ(resized.flatten()[1].item<int64_t>(), -5);
  EXPECT_EQ(ResizeNearest(ids.to(at::kByte), {1, 1}, pool_).scalar_type(), at::kByte);
}

TEST_F(ResizeTest, NearestWorksAxisByAxis) {
  const at::Tensor volume = at::arange(4 * 6 * 5).view({1, 1, 4, 6, 5});
  const at::Tensor resized = ResizeNearest(volume, {2, 3, 5}, pool_);
  for (int64_t z = 0; z < 2; ++z) {
    for (int64_t y = 0; y < 3; ++y) {
      for (int64_t x = 0; x < 5; ++x) {
        EXPECT_EQ(resized[0][0][z][y][x].item<int64_t>(), (2 * z * 6 + 2 * y) * 5 + x);
      }
    }
  }
}

TEST_F(ResizeTest, DenseInterpolatesBetweenVoxelCentres) {
  ExpectLine(ResizeDense(Line({2, 4, 6, 8}), {1, 1, 2}, pool_), {3, 7});
  ExpectLine(ResizeDense(Line({2, 6}), {1, 1, 4}, pool_), {2, 3, 5, 6});
  const at::Tensor plane = torch::tensor({{0.F, 4.F}, {8.F, 20.F}}).view({1, 1, 2, 2});
  EXPECT_FLOAT_EQ(ResizeDense(plane, {1, 1}, pool_).item<float>(), 8);
}

TEST_F(ResizeTest, DenseClampsWhatCameFromSignedDistances) {
  ExpectLine(ResizeDense(Line({1.4F, 1.4F, -1.2F, 0}), {1, 1, 2}, pool_), {1, -0.6F});
  // One value beyond, and nothing is clamped.
  ExpectLine(ResizeDense(Line({1.4F, 1.6F, -1.2F, 0}), {1, 1, 2}, pool_), {1.5F, -0.6F});
}

TEST_F(ResizeTest, DenseTakesIntegersByNearestNeighbour) {
  const at::Tensor labels = torch::tensor({5, 6, 7, 9}, at::kInt).view({1, 1, 1, 1, 4});
  const at::Tensor resized = ResizeDense(labels, {1, 1, 2}, pool_);
  EXPECT_EQ(resized.scalar_type(), at::kInt);
  ExpectLine(resized.to(at::kFloat), {5, 7});
  ExpectLine(ResizeDense(labels > 5, {1, 1, 2}, pool_).to(at::kFloat), {0, 1});
}

TEST_F(ResizeTest, DenseComputesHalfTypesInFloat32) {
  EXPECT_EQ(ResizeDense(Line({1, 2}).to(at::kHalf), {1, 1, 1}, pool_).scalar_type(), at::kFloat);
}

// Against the definition: every voxel that overlaps a coarse one, even in part, must be known.
TEST_F(ResizeTest, KnownOnlyWhereEveryVoxelIs) {
  at::manual_seed(1);
  for (int round = 0; round < 50; ++round) {
    const auto fine = at::randint(1, 12, {1}).item<int64_t>();
    const auto coarse = at::randint(1, 12, {1}).item<int64_t>();
    const at::Tensor known = at::rand({1, 1, 1, 1, fine}) > 0.3;
    const at::Tensor resized = ResizeKnown(known, {1, 1, coarse}, pool_).flatten();
    const at::Tensor plane = ResizeKnown(known[0], {1, coarse}, pool_).flatten();
    for (int64_t i = 0; i < coarse; ++i) {
      bool all = true;
      for (int64_t v = i * fine / coarse; v < ((i + 1) * fine + coarse - 1) / coarse; ++v) {
        all = all && known.flatten()[v].item<bool>();
      }
      EXPECT_EQ(resized[i].item<bool>(), all) << fine << " to " << coarse;
      EXPECT_EQ(plane[i].item<bool>(), all);
    }
  }
}

TEST_F(ResizeTest, PartsAreThoseThatLibTorchMakesOfTheWhole) {
  at::manual_seed(1);
  const auto draw = [] { return at::randint(1, 25, {1}).item<int64_t>(); };
  for (int round = 0; round < 100; ++round) {
    const std::vector<int64_t> size = {draw(), draw(), draw()};
    // Mostly a whole number of planes for each.
    const int64_t z = round % 4 == 0 ? draw() : size[0] * (1 + round % 3);
    const at::Tensor volume = at::randn({2, 3, z, draw(), draw()});
    EXPECT_TRUE(at::equal(ResizeDense(volume, size, pool_),
                          at::upsample_trilinear3d(volume, size, /*align_corners=*/false)))
        << volume.sizes() << " to " << size;
    EXPECT_TRUE(
        at::equal(ResizeNearest(volume, size, pool_), at::upsample_nearest3d(volume, size)));
    const at::Tensor image = volume.select(3, 0);
    const std::vector<int64_t> of_image = {size[0], size[1]};
    EXPECT_TRUE(at::equal(ResizeDense(image, of_image, pool_),
                          at::upsample_bilinear2d(image, of_image, /*align_corners=*/false)))
        << image.sizes() << " to " << of_image;
  }
}

TEST_F(ResizeTest, AsksForEveryPlane) {
  TaskGroup group(pool_);
  const at::Tensor volume = at::rand({2, 3, 20, 5, 6});
  const auto checks_of = [&](const auto& resize) {
    const CancelledAtCheck counter;
    resize(Context(group, counter));
    return counter.checks();
  };
  const std::vector<int64_t> size = {10, 10, 10};
  constexpr int64_t kPlanes = 2 * 3 * 10;
  EXPECT_GE(checks_of([&](const Context& context) { ResizeNearest(volume, size, context); }),
            kPlanes);
  EXPECT_GE(checks_of([&](const Context& context) { ResizeDense(volume, size, context); }),
            kPlanes);
  EXPECT_GE(checks_of([&](const Context& context) { ResizeKnown(volume > 0.1, size, context); }),
            kPlanes);
}

}  // namespace
}  // namespace lossd
