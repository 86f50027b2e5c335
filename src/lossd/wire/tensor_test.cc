#include "lossd/wire/tensor.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "lossd/base/context.h"
#include "lossd/base/error.h"
#include "lossd/wire/encoding.h"

namespace lossd {
namespace {

v1::Tensor Message(v1::DType dtype, const std::vector<int64_t>& shape, std::string data) {
  v1::Tensor message;
  message.set_dtype(dtype);
  message.mutable_shape()->Assign(shape.begin(), shape.end());
  message.set_data(std::move(data));
  return message;
}

template <typename T>
std::string Bytes(const std::vector<T>& values) {
  return {reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T)};
}

void ExpectError(const v1::Tensor& message, const std::string& field, const std::string& text) {
  const absl::StatusOr<at::Tensor> tensor = FromWire(message);
  ASSERT_FALSE(tensor.ok());
  EXPECT_EQ(ErrorField(tensor.status()), field);
  EXPECT_THAT(std::string(tensor.status().message()), testing::HasSubstr(text));
}

class WireDTypeTest : public testing::TestWithParam<at::ScalarType> {};

TEST_P(WireDTypeTest, RoundTripsBytesAndShape) {
  const at::Tensor tensor =
      at::tensor({0, 1, 1, 0, 1, 1}, at::kLong).view({1, 2, 3}).to(GetParam());
  v1::Tensor message;
  ASSERT_TRUE(ToWire(tensor, &message).ok());
  const absl::StatusOr<at::Tensor> back = FromWire(message);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->sizes(), tensor.sizes());
  EXPECT_TRUE(back->is_contiguous());
  EXPECT_TRUE(at::equal(back->to(at::kLong), tensor.to(at::kLong)));
}

INSTANTIATE_TEST_SUITE_P(DTypes, WireDTypeTest,
                         testing::Values(at::kFloat, at::kHalf, at::kBFloat16, at::kDouble,
                                         at::kBool, at::kByte, at::kChar, at::kUInt16, at::kShort,
                                         at::kUInt32, at::kInt, at::kUInt64, at::kLong),
                         [](const auto& param) { return c10::toString(param.param); });

// More than one part, the last of them not a multiple of 8.
TEST(FromWireTest, GivesTheSameWithThreads) {
  constexpr int64_t kElements = 3 * (1 << 18) + 5;
  at::manual_seed(0);
  const at::Tensor binary = at::randint(0, 2, {kElements}, at::kLong);
  TaskPool pool(3);
  const Context context(pool);
  for (const at::Tensor& tensor : {binary, binary * 60'000}) {
    v1::Tensor message;
    ASSERT_TRUE(DescribeOnWire(tensor, &message).ok());
    const EncodedElements encoded = Encode(tensor, ElementUse::kNumbers);
    message.set_encoding(encoded.encoding);
    message.set_data(encoded.data.const_data_ptr(), encoded.data.nbytes());
    const absl::StatusOr<at::Tensor> decoded = FromWire(message, ElementUse::kNumbers, &context);
    ASSERT_TRUE(decoded.ok()) << decoded.status();
    EXPECT_TRUE(at::equal(*decoded, tensor));
  }
  v1::Tensor bools;
  ASSERT_TRUE(ToWire(binary.to(at::kBool), &bools).ok());
  EXPECT_TRUE(FromWire(bools, ElementUse::kNumbers, &context).ok());
  bools.mutable_data()->back() = 2;
  EXPECT_EQ(ErrorField(FromWire(bools, ElementUse::kNumbers, &context).status()), "data");
}

TEST(FromWireTest, IsNotHalfDoneWhenItIsCancelled) {
  TaskPool pool(2);
  TaskGroup group(pool);
  Cancellation cancellation;
  cancellation.Cancel(absl::CancelledError("nobody waits"));
  const Context context(group, cancellation);
  v1::Tensor message;
  ASSERT_TRUE(ToWire(at::zeros({100}, at::kUInt16), &message).ok());
  EXPECT_EQ(FromWire(message, ElementUse::kNumbers, &context).status(),
            absl::CancelledError("nobody waits"));
}

TEST(FromWireTest, KeepsTheDTypesThatAreComputedOn) {
  const v1::Tensor message = Message(v1::D_TYPE_BFLOAT16, {2}, std::string(4, '\0'));
  EXPECT_EQ(FromWire(message)->scalar_type(), at::kBFloat16);
}

TEST(FromWireTest, WidensUnsignedIntegersWithoutChangingValues) {
  const at::Tensor small = *FromWire(Message(v1::D_TYPE_UINT16, {2}, Bytes<uint16_t>({7, 65535})));
  EXPECT_EQ(small.scalar_type(), at::kInt);
  EXPECT_TRUE(at::equal(small, at::tensor({7, 65535}, at::kInt)));
  const at::Tensor large =
      *FromWire(Message(v1::D_TYPE_UINT32, {2}, Bytes<uint32_t>({7, 4294967295})));
  EXPECT_EQ(large.scalar_type(), at::kLong);
  EXPECT_TRUE(at::equal(large, at::tensor({int64_t{7}, int64_t{4294967295}}, at::kLong)));
}

TEST(FromWireTest, KeepsTheBitsOfUint64) {
  const v1::Tensor message = Message(v1::D_TYPE_UINT64, {1}, Bytes<uint64_t>({~uint64_t{0}}));
  const absl::StatusOr<at::Tensor> tensor = FromWire(message);
  ASSERT_TRUE(tensor.ok());
  EXPECT_TRUE(at::equal(*tensor, at::tensor({int64_t{-1}}, at::kLong)));
}

TEST(FromWireTest, DoesNotCopyAlignedData) {
  const v1::Tensor message = Message(v1::D_TYPE_FLOAT32, {64}, std::string(256, '\0'));
  EXPECT_EQ(FromWire(message)->const_data_ptr(), message.data().data());
}

TEST(FromWireTest, RefusesDTypesItDoesNotKnow) {
  ExpectError(Message(v1::D_TYPE_UNSPECIFIED, {1}, "x"), "dtype", "got 0");
  ExpectError(Message(static_cast<v1::DType>(99), {1}, "x"), "dtype", "got 99");
}

TEST(FromWireTest, RefusesShapesThatAreNone) {
  ExpectError(Message(v1::D_TYPE_UINT8, {}, "x"), "shape", "0 dimensions");
  ExpectError(Message(v1::D_TYPE_UINT8, {1, 1, 1, 1, 1, 1, 1, 1, 1}, "x"), "shape", "9 dimensions");
  ExpectError(Message(v1::D_TYPE_UINT8, {2, 0}, ""), "shape", "[2, 0]");
  ExpectError(Message(v1::D_TYPE_UINT8, {-1, -1}, "x"), "shape", "[-1, -1]");
}

TEST(FromWireTest, RefusesSizesThatOverflow) {
  const int64_t big = int64_t{1} << 32;
  ExpectError(Message(v1::D_TYPE_UINT8, {big, big}, ""), "shape", "fits into memory");
  ExpectError(Message(v1::D_TYPE_FLOAT64, {int64_t{1} << 61}, ""), "shape", "fits into memory");
}

TEST(FromWireTest, RefusesDataOfAnotherSizeThanTheShapeSays) {
  ExpectError(Message(v1::D_TYPE_FLOAT32, {2, 3}, std::string(23, 'x')), "data",
              "got 23 bytes, expected 24 for D_TYPE_FLOAT32 of shape [2, 3]");
  ExpectError(Message(v1::D_TYPE_FLOAT32, {2, 3}, std::string(25, 'x')), "data", "got 25 bytes");
  ExpectError(Message(v1::D_TYPE_FLOAT32, {1}, ""), "data", "got 0 bytes");
}

TEST(FromWireTest, RefusesBoolsThatAreNeither) {
  ExpectError(Message(v1::D_TYPE_BOOL, {3}, std::string("\0\1\2", 3)), "data", "0 or 1");
}

TEST(FromBytesTest, KeepsTheBytesAlive) {
  at::Tensor bytes = at::tensor({1, 0, 2, 0}, at::kByte);
  const v1::Tensor message = Message(v1::D_TYPE_INT16, {2}, "");
  const absl::StatusOr<at::Tensor> tensor = FromBytes(message, bytes);
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_EQ(tensor->const_data_ptr(), bytes.const_data_ptr());
  const c10::weak_intrusive_ptr<at::TensorImpl> weak(bytes.getIntrusivePtr());
  bytes.reset();
  EXPECT_FALSE(weak.expired());
  EXPECT_TRUE(at::equal(*tensor, at::tensor({1, 2}, at::kShort)));
}

TEST(FromBytesTest, TakesBytesOfAnyAlignment) {
  const at::Tensor bytes = at::tensor({9, 1, 0, 2, 0}, at::kByte).slice(0, 1);
  const absl::StatusOr<at::Tensor> tensor = FromBytes(Message(v1::D_TYPE_INT16, {2}, ""), bytes);
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_TRUE(at::equal(*tensor, at::tensor({1, 2}, at::kShort)));
}

TEST(StandInTest, HasDTypeAndShapeAndNoMemory) {
  // More than any machine has.
  const v1::Tensor message = Message(v1::D_TYPE_UINT16, {int64_t{1} << 50, 3}, "");
  const absl::StatusOr<at::Tensor> tensor = StandIn(message);
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_EQ(tensor->sizes(), at::IntArrayRef({int64_t{1} << 50, 3}));
  EXPECT_EQ(tensor->scalar_type(), at::kInt);
  EXPECT_TRUE(tensor->is_meta());
  EXPECT_EQ(*DataBytes(message), 6 * (int64_t{1} << 50));
}

TEST(DecodingBytesTest, CountsWhatIsTakenBesidesTheData) {
  constexpr int64_t kElements = 80;
  const auto bytes_of = [](v1::DType dtype, v1::Encoding encoding,
                           ElementUse use = ElementUse::kNumbers, uint64_t compressed = 0) {
    v1::Tensor message = Message(dtype, {kElements}, "");
    message.set_encoding(encoding);
    if (compressed > 0) message.set_compression(v1::COMPRESSION_LZ4);
    message.set_compressed_bytes(compressed);
    return *DecodingBytes(message, use);
  };
  EXPECT_EQ(bytes_of(v1::D_TYPE_FLOAT32, v1::ENCODING_UNSPECIFIED), 0);
  EXPECT_EQ(bytes_of(v1::D_TYPE_UINT64, v1::ENCODING_UNSPECIFIED), 0);
  EXPECT_EQ(bytes_of(v1::D_TYPE_FLOAT32, v1::ENCODING_BITS), 4 * kElements);
  EXPECT_EQ(bytes_of(v1::D_TYPE_UINT16, v1::ENCODING_UNSPECIFIED), 4 * kElements);
  EXPECT_EQ(bytes_of(v1::D_TYPE_INT64, v1::ENCODING_UINT16), 8 * kElements);
  EXPECT_EQ(bytes_of(v1::D_TYPE_INT64, v1::ENCODING_UINT16, ElementUse::kIds), 0);
  EXPECT_EQ(bytes_of(v1::D_TYPE_INT64, v1::ENCODING_UINT16, ElementUse::kIds, 5), 2 * kElements);
  EXPECT_FALSE(DecodingBytes(Message(v1::D_TYPE_UINT8, {0}, "")).ok());
}

TEST(StandInTest, IsHeldToTheSameRules) {
  EXPECT_EQ(ErrorField(StandIn(Message(v1::D_TYPE_UNSPECIFIED, {1}, "")).status()), "dtype");
  EXPECT_EQ(ErrorField(StandIn(Message(v1::D_TYPE_UINT8, {0}, "")).status()), "shape");
}

TEST(ToWireTest, WritesStridedTensorsInCOrder) {
  const at::Tensor tensor = at::arange(6, at::kInt).view({2, 3}).t();
  v1::Tensor message;
  ASSERT_TRUE(ToWire(tensor, &message).ok());
  EXPECT_THAT(message.shape(), testing::ElementsAre(3, 2));
  EXPECT_EQ(message.data(), Bytes<int32_t>({0, 3, 1, 4, 2, 5}));
}

TEST(ToWireTest, RefusesDTypesTheWireDoesNotHave) {
  v1::Tensor message;
  const absl::Status status = ToWire(at::zeros({1}, at::kComplexFloat), &message);
  EXPECT_EQ(ErrorField(status), "dtype");
}

}  // namespace
}  // namespace lossd
