#include "lossd/sweep/gpu_gradient_writer.h"

#include <gtest/gtest.h>

namespace lossd {
namespace {

// What is put there need not be on a GPU.
TEST(GpuGradientWriterTest, WritesInPlaceWhereVoxelsLieSideBySide) {
  const at::Tensor all = at::zeros({2, 5, 3, 4, 5});
  const GpuGradientWriter writer({.into = all.narrow(1, 1, 3), .add = true});
  EXPECT_TRUE(writer.place().add);
  writer.place().into.fill_(2);
  EXPECT_EQ(all.sum().item<float>(), 2 * 2 * 3 * 60);
  EXPECT_TRUE(writer.Finish(true));
  EXPECT_FALSE(writer.Finish(false));
}

TEST(GpuGradientWriterTest, WritesBesideACropFirst) {
  for (const at::ScalarType type : {at::kFloat, at::kHalf}) {
    const at::Tensor all = at::ones({2, 3, 4, 5, 6}, type);
    const GpuGradientWriter writer({.into = all.narrow(3, 1, 2).narrow(4, 2, 3), .add = true});
    EXPECT_EQ(writer.place().into.scalar_type(), at::kFloat);
    EXPECT_TRUE(writer.place().into.is_contiguous());
    EXPECT_FALSE(writer.place().add);
    writer.place().into.fill_(2);
    EXPECT_TRUE(writer.Finish(true));
    EXPECT_EQ(all.sum().item<float>(), 2 * 3 * 4 * 5 * 6 + 2 * 2 * 3 * 4 * 2 * 3);
  }
}

TEST(GpuGradientWriterTest, SaysWhatDoesNotFit) {
  const at::Tensor into = at::zeros({1, 1, 2, 2}, at::kHalf);
  const GpuGradientWriter writer({.into = into});
  writer.place().into.fill_(1e6);
  EXPECT_FALSE(writer.Finish(true));
}

TEST(GpuGradientWriterTest, NothingIsWanted) {
  const GpuGradientWriter writer({});
  EXPECT_FALSE(writer.place().into.defined());
  EXPECT_TRUE(writer.Finish(true));
}

}  // namespace
}  // namespace lossd
