#include "lossd/wire/bits.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <initializer_list>
#include <limits>
#include <vector>

namespace lossd {
namespace {

// Worth several threads.
constexpr int64_t kMany = 3'000'001;

std::vector<uint8_t> Bytes(const at::Tensor& tensor) {
  const auto* data = tensor.const_data_ptr<uint8_t>();
  return {data, data + tensor.numel()};
}

TEST(PackBitsTest, PutsTheFirstElementLowest) {
  const at::Tensor elements = at::tensor({1, 0, 0, 0, 0, 1, 0, 1, 0, 1}, at::kFloat);
  EXPECT_THAT(Bytes(*PackBits(elements)), testing::ElementsAre(0b10100001, 0b10));
}

// Each pattern of 8 elements, in each type.
TEST(UnpackBitsTest, GivesBackWhatWasPacked) {
  const at::Tensor numbers = at::arange(256, at::kLong).view({256, 1});
  const at::Tensor patterns =
      numbers.bitwise_right_shift(at::arange(8, at::kLong)).bitwise_and(1).flatten();
  for (const at::ScalarType dtype : {at::kFloat, at::kHalf, at::kBFloat16, at::kDouble, at::kBool,
                                     at::kByte, at::kChar, at::kShort, at::kInt, at::kLong}) {
    const at::Tensor elements = patterns.to(dtype);
    const std::optional<at::Tensor> bits = PackBits(elements);
    ASSERT_TRUE(bits.has_value()) << dtype;
    EXPECT_TRUE(at::equal(*bits, at::arange(256, at::kByte))) << dtype;
    const at::Tensor back = at::full_like(elements, 1);
    UnpackBits(bits->const_data_ptr<uint8_t>(), back);
    EXPECT_TRUE(at::equal(back, elements)) << dtype;
  }
}

TEST(UnpackBitsTest, WritesNoFurtherThanTheLastElement) {
  for (const int64_t size :
       std::initializer_list<int64_t>{1, 7, 8, 9, 4095, 4096, 4097, 12345, kMany}) {
    const at::Tensor elements = (at::arange(size) * 7 % 3 == 0).to(at::kShort);
    const at::Tensor bits = *PackBits(elements);
    EXPECT_EQ(bits.numel(), BitsBytes(size));
    const at::Tensor memory = at::full({size + 16}, 5, at::kShort);
    UnpackBits(bits.const_data_ptr<uint8_t>(), memory.narrow(0, 0, size));
    EXPECT_TRUE(at::equal(memory.narrow(0, 0, size), elements)) << size;
    EXPECT_TRUE(memory.narrow(0, size, 16).eq(5).all().item<bool>()) << size;
  }
}

TEST(PackBitsTest, FindsTheOnlyOtherOfMany) {
  for (const int64_t place : {int64_t{0}, kMany / 2, kMany - 1}) {
    const at::Tensor elements = at::ones({kMany}, at::kByte);
    EXPECT_TRUE(PackBits(elements).has_value());
    elements[place] = 2;
    EXPECT_FALSE(PackBits(elements).has_value()) << place;
  }
}

TEST(PackBitsTest, TakesNothingButZeroAndOne) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  for (const float other : {-0.0F, -1.0F, 0.5F, 2.0F, 1.0000001F, nan}) {
    for (const int64_t place : {0, 4095, 4096, 9999}) {
      const at::Tensor elements = at::ones({10000}, at::kFloat);
      elements[place] = other;
      EXPECT_FALSE(PackBits(elements).has_value()) << other << " at " << place;
    }
  }
  EXPECT_FALSE(PackBits(at::tensor({0, 1, -1}, at::kChar)).has_value());
}

}  // namespace
}  // namespace lossd
