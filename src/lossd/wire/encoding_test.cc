#include "lossd/wire/encoding.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <string>
#include <vector>

#include "lossd/base/error.h"

namespace lossd {
namespace {

// Enough elements, and an odd number of them, for a tensor that is worth it in any dtype.
constexpr int64_t kCount = 70001;

at::Tensor UpTo(int64_t greatest, at::ScalarType dtype) {
  return (at::arange(kCount, at::kLong) * 7919).remainder(greatest + 1).to(dtype);
}

// The message of a tensor in its encoding.
v1::Tensor Message(const at::Tensor& tensor, ElementUse use = ElementUse::kNumbers) {
  const EncodedElements elements = Encode(tensor, use);
  v1::Tensor message;
  EXPECT_TRUE(DescribeOnWire(tensor, &message).ok());
  message.set_encoding(elements.encoding);
  message.set_data(elements.data.const_data_ptr(), elements.data.nbytes());
  return message;
}

struct Example {
  at::ScalarType dtype;
  int64_t greatest;
  v1::Encoding encoding;
};

class EncodeTest : public testing::TestWithParam<Example> {};

TEST_P(EncodeTest, TakesTheShortestThatGivesTheSame) {
  const auto& [dtype, greatest, encoding] = GetParam();
  const at::Tensor tensor = UpTo(greatest, dtype);
  const v1::Tensor message = Message(tensor);
  EXPECT_EQ(message.encoding(), encoding);
  EXPECT_EQ(static_cast<int64_t>(message.data().size()), *DataBytes(message));
  v1::Tensor plain;
  ASSERT_TRUE(ToWire(tensor, &plain).ok());
  const absl::StatusOr<at::Tensor> expected = FromWire(plain);
  const absl::StatusOr<at::Tensor> actual = FromWire(message);
  ASSERT_TRUE(actual.ok()) << actual.status();
  EXPECT_EQ(actual->scalar_type(), expected->scalar_type());
  EXPECT_TRUE(at::equal(*actual, *expected));
  EXPECT_EQ(StandIn(message)->scalar_type(), actual->scalar_type());
}

constexpr int64_t k16 = (int64_t{1} << 16) - 1;
constexpr int64_t k32 = (int64_t{1} << 32) - 1;

INSTANTIATE_TEST_SUITE_P(
    Examples, EncodeTest,
    testing::Values(
        Example{at::kFloat, 1, v1::ENCODING_BITS}, Example{at::kFloat, 2, v1::ENCODING_UNSPECIFIED},
        Example{at::kHalf, 1, v1::ENCODING_BITS}, Example{at::kBFloat16, 1, v1::ENCODING_BITS},
        Example{at::kDouble, 1, v1::ENCODING_BITS}, Example{at::kBool, 1, v1::ENCODING_BITS},
        Example{at::kByte, 1, v1::ENCODING_BITS}, Example{at::kByte, 2, v1::ENCODING_UNSPECIFIED},
        Example{at::kChar, 1, v1::ENCODING_BITS}, Example{at::kChar, 2, v1::ENCODING_UNSPECIFIED},
        Example{at::kUInt16, 1, v1::ENCODING_BITS}, Example{at::kUInt16, 255, v1::ENCODING_UINT8},
        Example{at::kUInt16, 256, v1::ENCODING_UNSPECIFIED},
        Example{at::kShort, 1, v1::ENCODING_BITS}, Example{at::kShort, 255, v1::ENCODING_UINT8},
        Example{at::kShort, 256, v1::ENCODING_UNSPECIFIED},
        Example{at::kUInt32, 1, v1::ENCODING_BITS}, Example{at::kUInt32, 255, v1::ENCODING_UINT8},
        Example{at::kUInt32, k16, v1::ENCODING_UINT16},
        Example{at::kUInt32, k16 + 1, v1::ENCODING_UNSPECIFIED},
        Example{at::kInt, 1, v1::ENCODING_BITS}, Example{at::kInt, 255, v1::ENCODING_UINT8},
        Example{at::kInt, 256, v1::ENCODING_UINT16}, Example{at::kInt, k16, v1::ENCODING_UINT16},
        Example{at::kInt, k16 + 1, v1::ENCODING_UNSPECIFIED},
        Example{at::kUInt64, 1, v1::ENCODING_BITS}, Example{at::kUInt64, 255, v1::ENCODING_UINT8},
        Example{at::kUInt64, k16, v1::ENCODING_UINT16},
        Example{at::kUInt64, k16 + 1, v1::ENCODING_UINT32},
        Example{at::kLong, 1, v1::ENCODING_BITS}, Example{at::kLong, 255, v1::ENCODING_UINT8},
        Example{at::kLong, k16, v1::ENCODING_UINT16},
        Example{at::kLong, k16 + 1, v1::ENCODING_UINT32}),
    [](const auto& param) {
      return std::string(c10::toString(param.param.dtype)) + std::to_string(param.param.greatest);
    });

TEST(EncodeTest, MindsTheGreatestAndTheLeast) {
  const auto encoding = [](int64_t value, at::ScalarType dtype) {
    const at::Tensor tensor = at::zeros({kCount}, dtype);
    tensor[kCount - 1] = value;
    return Message(tensor).encoding();
  };
  EXPECT_EQ(encoding(k32, at::kLong), v1::ENCODING_UINT32);
  EXPECT_EQ(encoding(k32 + 1, at::kLong), v1::ENCODING_UNSPECIFIED);
  EXPECT_EQ(encoding(-1, at::kLong), v1::ENCODING_UNSPECIFIED);
  EXPECT_EQ(encoding(-1, at::kShort), v1::ENCODING_UNSPECIFIED);
  EXPECT_EQ(encoding(-1, at::kInt), v1::ENCODING_UNSPECIFIED);
}

TEST(EncodeTest, NarrowsManyAsFew) {
  constexpr int64_t kMany = 3'000'001;  // Worth several threads.
  const at::Tensor ids = at::arange(kMany, at::kLong).remainder(251);
  EXPECT_TRUE(at::equal(Encode(ids, ElementUse::kNumbers).data, ids.to(at::kByte)));
  for (const int64_t place : {int64_t{0}, kMany / 2, kMany - 1}) {
    const at::Tensor with_greater = ids.clone();
    with_greater[place] = 256;
    const EncodedElements encoded = Encode(with_greater, ElementUse::kNumbers);
    EXPECT_EQ(encoded.encoding, v1::ENCODING_UINT16);
    EXPECT_TRUE(at::equal(encoded.data, with_greater.to(at::kShort))) << place;
  }
}

TEST(EncodeTest, LeavesWhatIsSmall) {
  const at::Tensor small = at::zeros({kLeastEncodedBytes - 1}, at::kBool);
  const EncodedElements elements = Encode(small, ElementUse::kNumbers);
  EXPECT_EQ(elements.encoding, v1::ENCODING_UNSPECIFIED);
  EXPECT_TRUE(elements.data.is_same(small));
}

// Whether two tensors of ids show the same objects and background.
void ExpectSameObjects(const at::Tensor& actual, const at::Tensor& expected) {
  EXPECT_EQ(actual.sizes(), expected.sizes());
  EXPECT_TRUE(at::equal(actual == 0, expected == 0));
  // The same partition: as many classes in each as there are pairs.
  const auto number = [](const at::Tensor& classes) {
    return std::get<1>(at::_unique(classes, /*sorted=*/true, /*return_inverse=*/true)).flatten();
  };
  const at::Tensor ours = number(actual.to(at::kLong));
  const at::Tensor theirs = number(expected);
  EXPECT_TRUE(at::equal(ours.max(), theirs.max()));
  EXPECT_TRUE(at::equal(number(ours * kCount + theirs).max(), ours.max()));
}

TEST(EncodeTest, RenamesIdsThatAreLargerThanNeeded) {
  // Background, ids below 0 and such as differ in their upper halves only.
  const at::Tensor ids = (UpTo(300, at::kLong) - 100) * (int64_t{1} << 33);
  const v1::Tensor message = Message(ids, ElementUse::kIds);
  EXPECT_EQ(message.encoding(), v1::ENCODING_UINT16);
  const absl::StatusOr<at::Tensor> back = FromWire(message, ElementUse::kIds);
  ASSERT_TRUE(back.ok()) << back.status();
  ExpectSameObjects(*back, ids);
  EXPECT_EQ(Message(ids).encoding(), v1::ENCODING_UNSPECIFIED) << "numbers are not renamed";
}

TEST(EncodeTest, RenamesAsManyIdsAsTwoBytesHold) {
  const at::Tensor fit = UpTo(k16, at::kLong) * 1000;
  const v1::Tensor message = Message(fit, ElementUse::kIds);
  EXPECT_EQ(message.encoding(), v1::ENCODING_UINT16);
  ExpectSameObjects(*FromWire(message, ElementUse::kIds), fit);
  EXPECT_EQ(Message(UpTo(k16 + 1, at::kLong) * 1000, ElementUse::kIds).encoding(),
            v1::ENCODING_UINT32);
}

TEST(FromWireTest, KeepsIdsAsNarrowAsTheyCame) {
  for (const auto& [greatest, dtype] : {std::pair{int64_t{1}, at::kByte},
                                        {int64_t{255}, at::kByte},
                                        {k16, at::kShort},
                                        {k16 + 1, at::kInt}}) {
    v1::Tensor message = Message(UpTo(greatest, at::kLong));
    const absl::StatusOr<at::Tensor> ids = FromWire(message, ElementUse::kIds);
    ASSERT_TRUE(ids.ok()) << ids.status();
    EXPECT_EQ(ids->scalar_type(), dtype);
    EXPECT_EQ(StandIn(message, ElementUse::kIds)->scalar_type(), dtype);
    ExpectSameObjects(*ids, UpTo(greatest, at::kLong));
  }
}

void ExpectError(v1::DType dtype, int64_t size, int encoding, const std::string& data,
                 const std::string& field, const std::string& text) {
  v1::Tensor message;
  message.set_dtype(dtype);
  message.add_shape(size);
  message.set_encoding(static_cast<v1::Encoding>(encoding));
  message.set_data(data);
  for (const ElementUse use : {ElementUse::kNumbers, ElementUse::kIds}) {
    const absl::StatusOr<at::Tensor> tensor = FromWire(message, use);
    ASSERT_FALSE(tensor.ok());
    EXPECT_EQ(ErrorField(tensor.status()), field);
    EXPECT_THAT(std::string(tensor.status().message()), testing::HasSubstr(text));
  }
}

TEST(FromWireTest, RefusesEncodingsThatDoNotExist) {
  ExpectError(v1::D_TYPE_INT64, 2, 9, "xx", "encoding", "got 9");
  ExpectError(v1::D_TYPE_INT64, 2, -1, "xx", "encoding", "got -1");
}

TEST(FromWireTest, RefusesIntegersForAnythingButWiderOnes) {
  const auto refuses = [](v1::DType dtype, v1::Encoding encoding) {
    ExpectError(dtype, 2, encoding, "xx", "encoding", "an integer dtype of more than");
  };
  for (const v1::Encoding encoding :
       {v1::ENCODING_UINT8, v1::ENCODING_UINT16, v1::ENCODING_UINT32}) {
    for (const v1::DType dtype :
         {v1::D_TYPE_FLOAT32, v1::D_TYPE_FLOAT16, v1::D_TYPE_BFLOAT16, v1::D_TYPE_FLOAT64,
          v1::D_TYPE_BOOL, v1::D_TYPE_UINT8, v1::D_TYPE_INT8}) {
      refuses(dtype, encoding);
    }
  }
  refuses(v1::D_TYPE_INT16, v1::ENCODING_UINT16);
  refuses(v1::D_TYPE_UINT16, v1::ENCODING_UINT16);
  refuses(v1::D_TYPE_INT16, v1::ENCODING_UINT32);
  refuses(v1::D_TYPE_INT32, v1::ENCODING_UINT32);
  refuses(v1::D_TYPE_UINT32, v1::ENCODING_UINT32);
}

TEST(FromWireTest, RefusesDataOfAnotherSizeThanTheEncodingSays) {
  ExpectError(v1::D_TYPE_FLOAT32, 9, v1::ENCODING_BITS, "x", "data",
              "got 1 bytes, expected 2 for D_TYPE_FLOAT32 of shape [9] in ENCODING_BITS");
  ExpectError(v1::D_TYPE_BOOL, 8, v1::ENCODING_BITS, "xx", "data", "got 2 bytes, expected 1");
  ExpectError(v1::D_TYPE_INT64, 3, v1::ENCODING_UINT16, std::string(24, 'x'), "data",
              "got 24 bytes, expected 6");
  ExpectError(v1::D_TYPE_INT64, 3, v1::ENCODING_UINT32, "", "data", "got 0 bytes, expected 12");
}

TEST(FromWireTest, RefusesBitsBeyondTheLastElement) {
  ExpectError(v1::D_TYPE_INT32, 3, v1::ENCODING_BITS, "\x08", "data", "beyond the last element");
  ExpectError(v1::D_TYPE_INT32, 15, v1::ENCODING_BITS, "\xff\x80", "data", "beyond the last");
}

// What decoding would take counts, not what is sent: 2^60 elements of 8 bytes are more than an
// address can be, though their bits are not.
TEST(FromWireTest, RefusesWhatDecodedOverflows) {
  ExpectError(v1::D_TYPE_INT64, int64_t{1} << 60, v1::ENCODING_BITS, "", "shape",
              "fits into memory");
  // These become 8 bytes each.
  ExpectError(v1::D_TYPE_UINT32, int64_t{1} << 60, v1::ENCODING_BITS, "", "shape",
              "fits into memory");
}

}  // namespace
}  // namespace lossd
