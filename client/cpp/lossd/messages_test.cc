#include "lossd/messages.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lossd/wire/tensor.h"

namespace lossd {
namespace {

using testing::ElementsAre;

// Large enough for encodings; all elements are 0 or 1, but for the ids.
Batch Large() {
  const at::Tensor pattern = (at::arange(1 << 17) % 3 == 0).view({1, 2, 16, 64, 64});
  Batch batch;
  batch.predictions = {{"output", pattern.to(at::kFloat)}};
  batch.labels = pattern.to(at::kFloat).transpose(3, 4);
  batch.mask = pattern.to(at::kDouble).narrow(1, 0, 1);
  batch.label_mask = pattern;
  batch.gt_seg =
      at::arange(16).repeat_interleave(64 * 64).view({1, 16, 64, 64}) * (int64_t{1} << 40);
  return batch;
}

TEST(WriteOutgoingRequestTest, EncodesWhatIsNoPrediction) {
  const Batch batch = Large();
  const absl::StatusOr<OutgoingRequest> request =
      WriteOutgoingRequest({.plan = "", .batch = batch, .request_id = ""});
  ASSERT_TRUE(request.ok()) << request.status();
  const v1::ComputeRequest& header = request->header;
  EXPECT_EQ(header.predictions(0).tensor().encoding(), v1::ENCODING_UNSPECIFIED);
  EXPECT_EQ(header.labels().encoding(), v1::ENCODING_BITS);
  EXPECT_EQ(header.labels().dtype(), v1::D_TYPE_FLOAT32);
  EXPECT_EQ(header.mask().encoding(), v1::ENCODING_BITS);
  EXPECT_EQ(header.label_mask().encoding(), v1::ENCODING_BITS);
  EXPECT_EQ(header.gt_seg().encoding(), v1::ENCODING_UINT16) << "ids are renamed";
  std::vector<size_t> sizes;
  for (const at::Tensor& tensor : request->tensors) sizes.push_back(tensor.nbytes());
  EXPECT_THAT(sizes, ElementsAre(1 << 19, 1 << 14, 1 << 13, 1 << 14, 1 << 17));
  EXPECT_TRUE(request->tensors[0].is_alias_of(batch.predictions[0].tensor));
  const at::Tensor bytes = request->tensors[1];
  EXPECT_TRUE(at::equal(*FromBytes(header.labels(), bytes), batch.labels));
}

TEST(WriteOutgoingRequestTest, CompressesWhatIsEncoded) {
  const Batch batch = Large();
  const absl::StatusOr<OutgoingRequest> request =
      WriteOutgoingRequest({.plan = "", .batch = batch, .request_id = "", .compress = true});
  ASSERT_TRUE(request.ok()) << request.status();
  const v1::ComputeRequest& header = request->header;
  EXPECT_EQ(header.predictions(0).tensor().compression(), v1::COMPRESSION_UNSPECIFIED);
  EXPECT_EQ(header.gt_seg().encoding(), v1::ENCODING_UINT16);
  EXPECT_EQ(header.gt_seg().compression(), v1::COMPRESSION_LZ4);
  EXPECT_EQ(header.gt_seg().compressed_bytes(), request->tensors[4].nbytes());
  EXPECT_LT(request->tensors[4].nbytes(), 1 << 12);
  EXPECT_TRUE(at::equal(*FromBytes(header.labels(), request->tensors[1]), batch.labels));
}

TEST(WriteRequestTest, HoldsWhatAStreamBrings) {
  Batch batch = Large();
  batch.labels = at::Tensor();
  batch.labels_from_gt_seg = {{-1, 0, 0}, {0, 2, -3}};
  const absl::StatusOr<v1::ComputeRequest> whole =
      WriteRequest({.plan = "", .batch = batch, .request_id = ""});
  ASSERT_TRUE(whole.ok()) << whole.status();
  OutgoingRequest streamed = *WriteOutgoingRequest({.plan = "", .batch = batch, .request_id = ""});
  const auto put = [](const at::Tensor& data, v1::Tensor* message) {
    message->set_data(data.const_data_ptr(), data.nbytes());
  };
  ASSERT_EQ(streamed.tensors.size(), 4);
  put(streamed.tensors[0], streamed.header.mutable_predictions(0)->mutable_tensor());
  put(streamed.tensors[1], streamed.header.mutable_mask());
  put(streamed.tensors[2], streamed.header.mutable_label_mask());
  put(streamed.tensors[3], streamed.header.mutable_gt_seg());
  EXPECT_EQ(streamed.header.SerializeAsString(), whole->SerializeAsString());
  ASSERT_EQ(whole->labels_from_gt_seg_size(), 2);
  const v1::Offset& offset = whole->labels_from_gt_seg(1);
  EXPECT_THAT((std::vector{offset.z(), offset.y(), offset.x()}), ElementsAre(0, 2, -3));
}

}  // namespace
}  // namespace lossd
