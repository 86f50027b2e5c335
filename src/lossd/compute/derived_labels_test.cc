#include "lossd/compute/derived_labels.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "lossd/base/error.h"
#include "lossd/base/task_pool.h"

namespace lossd {
namespace {

Batch Deriving(const at::Tensor& gt_seg, std::vector<VoxelIndex> offsets, int64_t samples = 1) {
  Batch batch;
  batch.predictions = {{"output", at::zeros({samples, 1, 1, 1, 1})}};
  batch.gt_seg = gt_seg;
  batch.labels_from_gt_seg = std::move(offsets);
  return batch;
}

absl::StatusOr<Batch> Derive(const Batch& batch) {
  TaskPool pool(1);
  return WithDerivedLabels(batch, pool);
}

// Two rows of three voxels, 0 being background.
at::Tensor Rows(at::ScalarType dtype) {
  return at::tensor({7, 7, 0, 7, 5, 0}, at::kLong).view({1, 1, 2, 3}).to(dtype);
}

TEST(WithDerivedLabelsTest, MakesAffinitiesOfASegmentation) {
  for (const at::ScalarType dtype : {at::kByte, at::kChar, at::kShort, at::kInt, at::kLong}) {
    const absl::StatusOr<Batch> batch =
        Derive(Deriving(Rows(dtype), {{0, 0, -1}, {0, 1, 0}, {0, 0, 0}, {-9, 0, 0}}));
    ASSERT_TRUE(batch.ok()) << batch.status();
    const at::Tensor expected = at::tensor({0, 1, 0, 0, 0, 0,   // To the voxel before,
                                            1, 0, 0, 0, 0, 0,   // to the next row,
                                            1, 1, 0, 1, 1, 0,   // to itself,
                                            0, 0, 0, 0, 0, 0},  // outside.
                                           at::kFloat);
    EXPECT_EQ(batch->labels.scalar_type(), at::kFloat);
    EXPECT_TRUE(at::equal(batch->labels, expected.view({1, 4, 1, 2, 3}))) << batch->labels;
    EXPECT_TRUE(batch->labels_from_gt_seg.empty());
  }
}

TEST(WithDerivedLabelsTest, TakesEachSampleByItself) {
  const at::Tensor second = at::tensor({4, 5, 5, 5, 5, 5}, at::kInt).view({1, 1, 2, 3});
  const at::Tensor both = at::cat({Rows(at::kInt), second});
  const at::Tensor expected = at::tensor({0, 1, 0, 0, 0, 0, 0, 0, 1, 0, 1, 1}, at::kFloat);
  for (const at::Tensor& gt_seg : {both, both.unsqueeze(1)}) {
    const absl::StatusOr<Batch> batch = Derive(Deriving(gt_seg, {{0, 0, -1}}, 2));
    ASSERT_TRUE(batch.ok()) << batch.status();
    EXPECT_TRUE(at::equal(batch->labels, expected.view({2, 1, 1, 2, 3})));
  }
  const absl::StatusOr<Batch> alone = Derive(Deriving(second.squeeze(0), {{0, 0, -1}}));
  ASSERT_TRUE(alone.ok()) << alone.status();
  EXPECT_EQ(alone->labels.sizes(), at::IntArrayRef({1, 1, 1, 2, 3}));
}

TEST(WithDerivedLabelsTest, LeavesABatchThatAsksForNone) {
  Batch batch = Deriving(Rows(at::kInt), {});
  batch.labels = at::ones({1});
  EXPECT_TRUE(Derive(batch)->labels.is_same(batch.labels));
}

TEST(WithDerivedLabelsTest, GivesStandInsForStandIns) {
  const Batch real = Deriving(Rows(at::kInt), {{0, 0, -1}, {0, 1, 0}});
  Batch stand_in = real;
  // More than any machine has.
  stand_in.gt_seg = at::empty({1, int64_t{1} << 40, 2, 3}, at::TensorOptions(at::kMeta));
  stand_in.gt_seg = stand_in.gt_seg.to(at::kInt);
  const absl::StatusOr<Batch> derived = Derive(stand_in);
  ASSERT_TRUE(derived.ok()) << derived.status();
  EXPECT_TRUE(derived->labels.is_meta());
  EXPECT_EQ(derived->labels.sizes(), at::IntArrayRef({1, 2, int64_t{1} << 40, 2, 3}));
  EXPECT_EQ(derived->labels.scalar_type(), at::kFloat);
  EXPECT_TRUE(WithLabelStandIn(real)->labels.is_meta());
}

std::string Field(const Batch& batch) {
  const std::string field = ErrorField(Derive(batch).status()).value_or("none");
  EXPECT_EQ(ErrorField(WithLabelStandIn(batch).status()).value_or("none"), field);
  return field;
}

TEST(WithDerivedLabelsTest, RefusesWhatItCannotMakeLabelsOf) {
  const std::vector<VoxelIndex> offsets = {{0, 0, -1}};
  Batch given = Deriving(Rows(at::kInt), offsets);
  given.labels = at::ones({1, 1, 1, 2, 3});
  EXPECT_EQ(Field(given), "labels");
  EXPECT_EQ(Field(Deriving({}, offsets)), "gt_seg");
  EXPECT_EQ(Field(Deriving(Rows(at::kFloat), offsets)), "gt_seg.dtype");
  EXPECT_EQ(Field(Deriving(at::ones({2, 3}, at::kInt), offsets)), "gt_seg.shape");
  EXPECT_EQ(Field(Deriving(at::ones({1, 2, 1, 2, 3}, at::kInt), offsets)), "gt_seg.shape");
  EXPECT_EQ(Field(Deriving(Rows(at::kInt), offsets, 2)), "gt_seg.shape");
  EXPECT_EQ(Field(Deriving(Rows(at::kInt).squeeze(0), offsets, 2)), "gt_seg.shape");
  EXPECT_EQ(Field(Deriving(at::ones({1, 0, 2, 3}, at::kInt), offsets)), "gt_seg.shape");
  Batch huge = Deriving(Rows(at::kInt), {{0, 0, 1}, {0, 1, 0}});
  huge.gt_seg =
      at::empty({1, int64_t{1} << 60, 1, 1}, at::TensorOptions(at::kMeta).dtype(at::kByte));
  EXPECT_EQ(Field(huge), "labels_from_gt_seg");
}

}  // namespace
}  // namespace lossd
