#include "lossd/tensor/dtype_name.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace lossd {
namespace {

TEST(DTypeNameTest, IsWhatNumPyCallsIt) {
  EXPECT_EQ(DTypeName(at::kBool), "bool");
  EXPECT_EQ(DTypeName(at::kByte), "uint8");
  EXPECT_EQ(DTypeName(at::kChar), "int8");
  EXPECT_EQ(DTypeName(at::kUInt16), "uint16");
  EXPECT_EQ(DTypeName(at::kLong), "int64");
  EXPECT_EQ(DTypeName(at::kHalf), "float16");
  EXPECT_EQ(DTypeName(at::kBFloat16), "bfloat16");
  EXPECT_EQ(DTypeName(at::kDouble), "float64");
  EXPECT_EQ(DTypeName(at::kComplexFloat), "complex64");
}

}  // namespace
}  // namespace lossd
