#include "server/batch_codec.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/wire/tensor.h"

namespace lossd {
namespace {

absl::StatusOr<at::Tensor> FromMessage(const v1::Tensor& message, ElementUse use) {
  return FromWire(message, use);
}

using testing::ElementsAre;

v1::Tensor Wire(const at::Tensor& tensor) {
  v1::Tensor message;
  EXPECT_TRUE(ToWire(tensor, &message).ok());
  return message;
}

// A request with a prediction of that name.
v1::ComputeRequest RequestFor(const std::string& head) {
  v1::ComputeRequest request;
  v1::NamedTensor* prediction = request.add_predictions();
  prediction->set_name(head);
  *prediction->mutable_tensor() = Wire(at::ones({1, 2, 3, 4, 5}));
  return request;
}

Batch Read(const v1::ComputeRequest& request) {
  absl::StatusOr<Batch> batch = ReadBatch(request, FromMessage);
  EXPECT_TRUE(batch.ok()) << batch.status();
  return batch.ok() ? *std::move(batch) : Batch();
}

std::string Field(const v1::ComputeRequest& request) {
  return ErrorField(ReadBatch(request, FromMessage).status()).value_or("none");
}

TEST(ReadBatchTest, TakesTensorsWhereTheyLie) {
  const v1::ComputeRequest request = RequestFor("aff");
  const Batch batch = Read(request);
  ASSERT_EQ(batch.predictions.size(), 1);
  EXPECT_EQ(batch.predictions[0].name, "aff");
  EXPECT_EQ(batch.predictions[0].tensor.const_data_ptr(),
            request.predictions(0).tensor().data().data());
  EXPECT_FALSE(batch.labels.defined());
  EXPECT_FALSE(batch.gt_seg.defined());
}

TEST(ReadBatchTest, FillsInWhatIsLeftOut) {
  const Batch batch = Read(RequestFor("output"));
  EXPECT_EQ(batch.mode, Mode::kStandard);
  EXPECT_EQ(batch.stage, "train");
}

TEST(ReadBatchTest, DrawsASeedUnlessOneIsGiven) {
  v1::ComputeRequest request = RequestFor("output");
  EXPECT_NE(Read(request).malis_crop_seed, Read(request).malis_crop_seed);
  request.mutable_malis_crop()->set_seed(0);
  EXPECT_EQ(Read(request).malis_crop_seed, 0);
}

TEST(ReadBatchTest, NamesTensorsAsTheRequestDoes) {
  v1::ComputeRequest request = RequestFor("aff");
  request.mutable_predictions(0)->mutable_tensor()->mutable_data()->pop_back();
  EXPECT_EQ(Field(request), "predictions[aff].data");
  for (const char* name : {"labels", "mask", "label_mask", "gt_seg"}) {
    request = RequestFor("aff");
    const auto* field = v1::ComputeRequest::descriptor()->FindFieldByName(name);
    request.GetReflection()->MutableMessage(&request, field);
    EXPECT_EQ(Field(request), std::string(name) + ".dtype");
  }
}

// An id beyond int64 is an id like any other; a number beyond it would turn negative.
TEST(ReadBatchTest, RefusesNumbersBeyondInt64ButNotIds) {
  v1::Tensor huge;
  huge.set_dtype(v1::D_TYPE_UINT64);
  huge.add_shape(1);
  huge.set_data(std::string(8, '\xff'));
  v1::ComputeRequest request = RequestFor("output");
  *request.mutable_gt_seg() = huge;
  EXPECT_EQ(Read(request).gt_seg.item<int64_t>(), -1);
  *request.mutable_labels() = huge;
  EXPECT_EQ(Field(request), "labels.data");
}

TEST(ReadBatchTest, GradientsAreOfThePredictionsDtypeOrFloat32) {
  v1::ComputeRequest request = RequestFor("output");
  EXPECT_FALSE(Read(request).float32_gradients);
  request.set_gradient_dtype(v1::D_TYPE_FLOAT32);
  EXPECT_TRUE(Read(request).float32_gradients);
  request.set_gradient_dtype(v1::D_TYPE_FLOAT16);
  EXPECT_EQ(Field(request), "gradient_dtype");
}

TEST(ReadBatchTest, WhatIsNotFiniteIsAnErrorUnlessAllowed) {
  v1::ComputeRequest request = RequestFor("output");
  EXPECT_FALSE(Read(request).allow_non_finite);
  request.set_allow_non_finite(true);
  EXPECT_TRUE(Read(request).allow_non_finite);
}

TEST(ReadBatchTest, RefusesAnEndlessStage) {
  v1::ComputeRequest request = RequestFor("output");
  request.set_stage(std::string(128, 's'));
  EXPECT_EQ(Read(request).stage.size(), 128);
  request.set_stage(std::string(129, 's'));
  EXPECT_EQ(Field(request), "stage");
}

TEST(WriteOutcomeTest, WritesAllThatWasComputed) {
  const at::Tensor gradient = at::randn({1, 2, 3, 4, 5}).to(at::kHalf);
  Outcome outcome;
  outcome.total = 1.5;
  outcome.logs = {{"b", 2}, {"a", 1}};
  outcome.gradients = {{"aff", gradient}};
  outcome.log_vars_gradient = {0.25, 0.5};
  TermOutcome& term = outcome.terms.emplace_back();
  term.name = "term_0";
  term.malis_crop_origin = {1, 2, 3};
  term.malis_pairs = {.negative = 4, .positive = 5};
  term.gradients = {{"aff", gradient}};

  v1::ComputeResponse response;
  ASSERT_TRUE(WriteOutcome(outcome, 7, &response).ok());
  EXPECT_EQ(response.total(), 1.5);
  ASSERT_EQ(response.logs_size(), 2);
  EXPECT_EQ(response.logs(0).key(), "b");
  EXPECT_THAT(response.log_vars_gradient(), ElementsAre(0.25, 0.5));
  ASSERT_EQ(response.terms_size(), 1);
  EXPECT_EQ(response.terms(0).malis_crop_origin().z(), 1);
  EXPECT_EQ(response.terms(0).malis_crop_origin().x(), 3);
  EXPECT_EQ(response.terms(0).malis_negative_pairs(), 4);
  EXPECT_EQ(response.terms(0).malis_positive_pairs(), 5);
  for (const v1::NamedTensor& written : {response.gradients(0), response.terms(0).gradients(0)}) {
    EXPECT_EQ(written.name(), "aff");
    const absl::StatusOr<at::Tensor> read = FromWire(written.tensor());
    ASSERT_TRUE(read.ok()) << read.status();
    EXPECT_EQ(read->scalar_type(), at::kHalf);
    EXPECT_TRUE(at::equal(*read, gradient));
  }
}

// Words as long, and numbers as large, as they get.
TEST(AnswerBytesTest, AreEnoughForTheWholeResponse) {
  Batch batch;
  batch.stage = std::string(128, 's');
  Outcome outcome;
  OutcomeSize size = {.terms = 2, .gradients = 3};
  const NamedTensor gradient = {"a long name of a head", at::zeros({1, 1, 1, 1, 1 << 20})};
  for (size_t i = 0; i < 3; ++i) {
    size.gradient_bytes += static_cast<int64_t>(gradient.tensor.nbytes());
    size.name_bytes += static_cast<int64_t>(gradient.name.size());
  }
  outcome.total = 1;
  outcome.drew_crop_origin = true;
  outcome.gradients = {gradient};
  for (const char* key : {"_raw", "_coef", "_weighted", "_balance_weight", "_balanced"}) {
    for (int term = 254; term < 256; ++term) {
      outcome.logs.emplace_back(absl::StrCat(batch.stage, "_loss_scale_4_term_", term, key), 1);
    }
  }
  constexpr int64_t kFar = int64_t{1} << 40;
  for (int term = 254; term < 256; ++term) {
    outcome.logs.emplace_back(absl::StrCat(batch.stage, "_loss_uncertainty/term_", term, "_weight"),
                              1);
    TermOutcome& written = outcome.terms.emplace_back();
    written.name = absl::StrCat("term_", term);
    written.function = "ForegroundContourConsistency";
    written.scale = 4;
    written.raw = written.coefficient = written.weighted = written.balance_weight = 2;
    written.malis_crop_origin = {kFar, kFar, kFar};
    written.time = absl::Seconds(1);
    written.gradients = {gradient};
  }
  for (int scale = 0; scale < 5; ++scale) {
    outcome.logs.emplace_back(absl::StrCat(batch.stage, "_loss_scale_", scale), 1);
  }
  outcome.logs.emplace_back(absl::StrCat(batch.stage, "_loss_uncertainty/reg"), 1);
  outcome.logs.emplace_back(absl::StrCat(batch.stage, "_loss_total"), 1);
  outcome.log_vars_gradient = {1, 1};

  v1::ComputeResponse response;
  ASSERT_TRUE(WriteOutcome(outcome, ~uint64_t{0}, &response).ok());
  response.set_request_id(std::string(128, 'i'));
  v1::Timings* timings = response.mutable_timings();
  timings->set_queue_seconds(1);
  timings->set_decode_seconds(1);
  timings->set_compute_seconds(1);
  timings->set_encode_seconds(1);
  timings->set_total_seconds(1);
  const int64_t bytes = AnswerBytes(size, batch);
  EXPECT_GE(bytes, response.ByteSizeLong());
  EXPECT_LT(bytes, response.ByteSizeLong() + 4096);
}

TEST(WriteOutcomeTest, TellsTheSeedOnlyWhenItWasUsed) {
  Outcome outcome;
  v1::ComputeResponse response;
  ASSERT_TRUE(WriteOutcome(outcome, 7, &response).ok());
  EXPECT_FALSE(response.has_malis_crop_seed());
  outcome.drew_crop_origin = true;
  ASSERT_TRUE(WriteOutcome(outcome, 7, &response).ok());
  EXPECT_EQ(response.malis_crop_seed(), 7);
}

}  // namespace
}  // namespace lossd
