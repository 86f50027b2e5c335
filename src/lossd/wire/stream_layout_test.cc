#include "lossd/wire/stream_layout.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lossd/base/error.h"

namespace lossd {
namespace {

using testing::ElementsAre;
using testing::FieldsAre;

void Describe(v1::DType dtype, const std::vector<int64_t>& shape, v1::Tensor* tensor) {
  tensor->set_dtype(dtype);
  tensor->mutable_shape()->Assign(shape.begin(), shape.end());
}

void AddNamed(const std::string& name, v1::DType dtype, const std::vector<int64_t>& shape,
              google::protobuf::RepeatedPtrField<v1::NamedTensor>* tensors) {
  v1::NamedTensor* named = tensors->Add();
  named->set_name(name);
  Describe(dtype, shape, named->mutable_tensor());
}

template <typename Header>
std::string Field(const Header& header) {
  return ErrorField(ReadStreamLayout(header).status()).value_or("none");
}

TEST(ReadStreamLayoutTest, HasTheTensorsOfARequestInOrder) {
  v1::ComputeRequest request;
  Describe(v1::D_TYPE_INT64, {2}, request.mutable_gt_seg());
  Describe(v1::D_TYPE_BOOL, {3}, request.mutable_label_mask());
  Describe(v1::D_TYPE_UINT16, {4}, request.mutable_mask());
  Describe(v1::D_TYPE_UINT32, {5}, request.mutable_labels());
  AddNamed("b", v1::D_TYPE_FLOAT32, {2, 3}, request.mutable_predictions());
  AddNamed("a", v1::D_TYPE_BFLOAT16, {7}, request.mutable_predictions());
  const auto tensors = ReadStreamLayout(request);
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_THAT(*tensors,
              ElementsAre(FieldsAre("predictions[b]", 24), FieldsAre("predictions[a]", 14),
                          FieldsAre("labels", 20), FieldsAre("mask", 8), FieldsAre("label_mask", 3),
                          FieldsAre("gt_seg", 16)));
  EXPECT_EQ(TotalBytes(*tensors), 85);
  request.clear_mask();
  EXPECT_EQ(ReadStreamLayout(request)->at(3).field, "label_mask");
}

TEST(ReadStreamLayoutTest, HasTheBytesOfEncodings) {
  v1::ComputeRequest request;
  Describe(v1::D_TYPE_FLOAT32, {3, 3}, request.mutable_labels());
  request.mutable_labels()->set_encoding(v1::ENCODING_BITS);
  Describe(v1::D_TYPE_INT64, {9}, request.mutable_gt_seg());
  request.mutable_gt_seg()->set_encoding(v1::ENCODING_UINT16);
  EXPECT_THAT(*ReadStreamLayout(request),
              ElementsAre(FieldsAre("labels", 2), FieldsAre("gt_seg", 18)));
  request.mutable_gt_seg()->set_compression(v1::COMPRESSION_LZ4);
  request.mutable_gt_seg()->set_compressed_bytes(5);
  EXPECT_EQ(ReadStreamLayout(request)->at(1).bytes, 5);
  request.mutable_labels()->set_encoding(v1::ENCODING_UINT8);
  EXPECT_EQ(Field(request), "labels.encoding");
}

TEST(ReadStreamLayoutTest, HasTheGradientsOfTermsFirst) {
  v1::ComputeResponse response;
  AddNamed("output", v1::D_TYPE_FLOAT16, {1}, response.mutable_gradients());
  response.add_terms();
  AddNamed("output", v1::D_TYPE_FLOAT32, {1}, response.add_terms()->mutable_gradients());
  const auto tensors = ReadStreamLayout(response);
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_THAT(*tensors, ElementsAre(FieldsAre("terms[1].gradients[output]", 4),
                                    FieldsAre("gradients[output]", 2)));
}

TEST(ReadStreamLayoutTest, RefusesTensorsThatAreNone) {
  v1::ComputeRequest request;
  AddNamed("output", v1::D_TYPE_FLOAT32, {2, 0}, request.mutable_predictions());
  EXPECT_EQ(Field(request), "predictions[output].shape");
  request.clear_predictions();
  request.mutable_mask();
  EXPECT_EQ(Field(request), "mask.dtype");
}

// Each of them would fit, if one were to believe it.
TEST(ReadStreamLayoutTest, RefusesTensorsThatOverflowTogether) {
  v1::ComputeRequest request;
  const std::vector<int64_t> half = {int64_t{1} << 62};
  Describe(v1::D_TYPE_UINT8, half, request.mutable_labels());
  EXPECT_EQ(Field(request), "none");
  Describe(v1::D_TYPE_UINT8, half, request.mutable_gt_seg());
  EXPECT_EQ(Field(request), "gt_seg.shape");
}

TEST(ReadStreamLayoutTest, RefusesDataInTheHeader) {
  v1::ComputeRequest request;
  Describe(v1::D_TYPE_UINT8, {1}, request.mutable_labels());
  request.mutable_labels()->set_data("x");
  EXPECT_EQ(Field(request), "labels.data");
  request.mutable_labels()->clear_data();
  request.mutable_labels()->mutable_shared();
  EXPECT_EQ(Field(request), "labels.shared");
}

// A client that believed its server's sizes would take many times the memory.
TEST(ReadStreamLayoutTest, RefusesAnswersThatAreEncoded) {
  v1::ComputeResponse response;
  AddNamed("output", v1::D_TYPE_FLOAT32, {1000}, response.mutable_gradients());
  EXPECT_EQ(Field(response), "none");
  v1::Tensor* const gradient = response.mutable_gradients(0)->mutable_tensor();
  gradient->set_encoding(v1::ENCODING_BITS);
  EXPECT_EQ(Field(response), "gradients[output]");
  gradient->clear_encoding();
  gradient->set_compression(v1::COMPRESSION_LZ4);
  gradient->set_compressed_bytes(10);
  EXPECT_EQ(Field(response), "gradients[output]");
}

}  // namespace
}  // namespace lossd
