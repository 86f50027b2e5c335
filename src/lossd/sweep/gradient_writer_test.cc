#include "lossd/sweep/gradient_writer.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "lossd/sweep/kernels.h"

namespace lossd {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// Several blocks, the last of them short; between channels of others.
at::Tensor Place(at::ScalarType type) {
  return at::full({2, 5, 17, 19, 23}, 7, type).narrow(1, 1, 3);
}

class GradientWriterTest : public testing::TestWithParam<at::ScalarType> {
 protected:
  at::Tensor gradient = at::randn({2, 3, 17, 19, 23});
  TaskPool pool{2};
};

TEST_P(GradientWriterTest, WritesOrAddsTheProductWithTheFactor) {
  const at::Tensor strided = gradient.transpose(2, 3).contiguous().transpose(2, 3);
  for (const at::Tensor& from : {gradient, strided, gradient.to(at::kDouble)}) {
    const at::Tensor product = (from * 0.75).to(GetParam());
    const at::Tensor written = Place(GetParam());
    EXPECT_TRUE(WriteGradient(from, {.into = written, .factor = 0.75}, pool));
    EXPECT_TRUE(written.equal(product));
    const at::Tensor sum = Place(GetParam());
    EXPECT_TRUE(WriteGradient(from, {.into = sum, .factor = 0.75, .add = true}, pool));
    EXPECT_TRUE(at::allclose(sum.to(at::kDouble), product.to(at::kDouble) + 7,
                             GetParam() == at::kFloat || GetParam() == at::kDouble ? 1e-6 : 2e-2));
  }
}

TEST_P(GradientWriterTest, NoticesOneElementThatIsNotFinite) {
  for (const float wrong : {kInf, -kInf, std::nanf("")}) {
    at::Tensor one_wrong = gradient.clone();
    one_wrong[1][2][16][18][22] = wrong;
    for (const bool add : {false, true}) {
      EXPECT_FALSE(WriteGradient(one_wrong, {.into = Place(GetParam()), .add = add}, pool));
    }
  }
}

TEST_P(GradientWriterTest, LeavesWhatIsBesideItAlone) {
  const at::Tensor all = at::full({2, 5, 17, 19, 23}, 7, GetParam());
  WriteGradient(gradient, {.into = all.narrow(1, 1, 3)}, pool);
  for (const int64_t channel : {0, 4}) {
    EXPECT_TRUE(all.select(1, channel).eq(7).all().item<bool>());
  }
}

INSTANTIATE_TEST_SUITE_P(Types, GradientWriterTest,
                         testing::Values(at::kFloat, at::kDouble, at::kHalf, at::kBFloat16),
                         [](const auto& test) { return c10::toString(test.param); });

TEST(GradientWriterTest, NoticesWhatHalfPrecisionCannotHold) {
  TaskPool pool(1);
  const at::Tensor gradient = at::full({1, 1, 4, 4}, 1000.F);
  const at::Tensor half = at::empty({1, 1, 4, 4}, at::kHalf);
  EXPECT_TRUE(WriteGradient(gradient, {.into = half, .factor = 65}, pool));
  EXPECT_FALSE(WriteGradient(gradient, {.into = half, .factor = 66}, pool));
  EXPECT_TRUE(WriteGradient(gradient, {.into = half.to(at::kBFloat16), .factor = 66}, pool));
}

// Every half, what lies around it, and the midpoints, where ties go to the even one.
TEST(NarrowTest, RoundsAsLibTorchDoes) {
  for (const at::ScalarType type : {at::kHalf, at::kBFloat16}) {
    std::vector<float> values = {kInf, -kInf, std::nanf(""), 1e30F, 65519.996F, 65520, 3.4e38F};
    for (uint32_t bits = 0; bits < 65536; ++bits) {
      const auto narrow = static_cast<uint16_t>(bits);
      const float value = type == at::kHalf
                              ? static_cast<float>(at::Half(narrow, at::Half::from_bits()))
                              : std::bit_cast<float>(bits << 16);
      if (std::isnan(value)) continue;
      const uint32_t half_unit = type == at::kHalf ? 1U << 12 : 1U << 15;
      for (const uint32_t off : {0U, 1U, half_unit - 1, half_unit, half_unit + 1}) {
        values.push_back(std::bit_cast<float>(std::bit_cast<uint32_t>(value) + off));
      }
    }
    std::vector<uint16_t> narrowed(values.size());
    const auto size = static_cast<int64_t>(values.size());
    const auto narrow = type == at::kHalf ? &NarrowHalf : &NarrowBfloat16;
    EXPECT_FALSE(narrow(values.data(), size, narrowed.data()));
    const at::Tensor expected =
        at::from_blob(values.data(), {size}, at::kFloat).to(type).to(at::kFloat);
    const at::Tensor actual = at::from_blob(narrowed.data(), {size}, type).to(at::kFloat);
    EXPECT_TRUE(at::allclose(actual, expected, 0, 0, /*equal_nan=*/true));
  }
}

}  // namespace
}  // namespace lossd
