#include "server/handlers.h"

#include <ATen/ATen.h>
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/wire/tensor.h"

namespace lossd {
namespace {

using testing::_;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::SizeIs;
using testing::UnorderedElementsAre;

constexpr int64_t kMaxBytes = int64_t{1} << 30;

v1::ComputeRequest MseRequest() {
  v1::ComputeRequest request;
  request.mutable_plan()->set_text("[{function: WeightedMSELoss}]");
  v1::NamedTensor* prediction = request.add_predictions();
  prediction->set_name("output");
  EXPECT_TRUE(ToWire(at::full({1, 1, 2, 2, 2}, 3.0), prediction->mutable_tensor()).ok());
  EXPECT_TRUE(ToWire(at::ones({1, 1, 2, 2, 2}), request.mutable_labels()).ok());
  return request;
}

// Computes it, where the limits allow.
absl::Status Compute(Handlers& handlers, const v1::ComputeRequest& request, int64_t max_bytes,
                     const Cancellation& cancellation, v1::ComputeResponse* response) {
  const absl::StatusOr<Announcement> announcement =
      handlers.Announce(request, {.bytes = max_bytes});
  if (!announcement.ok()) return announcement.status();
  return handlers.Compute(request, *announcement, cancellation, response);
}

v1::ValidatePlanResponse Validate(const std::string& plan) {
  Handlers handlers(1, 1);
  v1::ValidatePlanRequest request;
  request.mutable_plan()->set_text(plan);
  v1::ValidatePlanResponse response;
  const absl::Status status = handlers.ValidatePlan(request, &response);
  EXPECT_TRUE(status.ok()) << status;
  return response;
}

TEST(HandlersTest, ComputesAndSaysWhereTheTimeWent) {
  Handlers handlers(1, 1);
  v1::ComputeResponse response;
  const absl::Status status = Compute(handlers, MseRequest(), kMaxBytes, Cancellation(), &response);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(response.total(), 4);
  EXPECT_EQ(response.gradients_size(), 1);
  EXPECT_GT(response.timings().compute_seconds(), 0);
  EXPECT_GE(response.timings().decode_seconds(), 0);
  EXPECT_GE(response.timings().encode_seconds(), 0);
}

TEST(HandlersTest, ChecksThePlanBeforeTheBatch) {
  Handlers handlers(1, 1);
  v1::ComputeRequest request = MseRequest();
  request.mutable_plan()->set_text("[{function: WeightedMSELoss, weigth: 2}]");
  request.clear_predictions();
  v1::ComputeResponse response;
  EXPECT_EQ(ErrorField(Compute(handlers, request, kMaxBytes, Cancellation(), &response)),
            "losses[0].weigth");
}

TEST(HandlersTest, DoesNotComputeWhatIsCancelled) {
  Handlers handlers(1, 1);
  Cancellation cancellation;
  cancellation.Cancel(absl::CancelledError("nobody waits"));
  v1::ComputeResponse response;
  EXPECT_EQ(Compute(handlers, MseRequest(), kMaxBytes, cancellation, &response),
            absl::CancelledError("nobody waits"));
}

// The answer would have 2 GiB, and computing it would take gigabytes and seconds.
TEST(HandlersTest, RefusesTooLargeAnAnswerBeforeItComputes) {
  constexpr int kTerms = 256;
  std::string plan = "[";
  for (int i = 0; i < kTerms; ++i) absl::StrAppend(&plan, i > 0 ? ", " : "", "{function: MSELoss}");
  v1::ComputeRequest request;
  request.mutable_plan()->set_text(plan + "]");
  request.set_per_term_gradients(true);
  request.set_gradient_dtype(v1::D_TYPE_FLOAT32);
  const at::Tensor tensor = at::zeros({1, 1, 128, 128, 128}, at::kHalf);
  EXPECT_TRUE(ToWire(tensor, request.add_predictions()->mutable_tensor()).ok());
  request.mutable_predictions(0)->set_name("output");
  EXPECT_TRUE(ToWire(tensor.to(at::kByte), request.mutable_labels()).ok());
  Handlers handlers(1, 1);
  v1::ComputeResponse response;
  const absl::Status status = Compute(handlers, request, kMaxBytes, Cancellation(), &response);
  EXPECT_EQ(ErrorField(status), "per_term_gradients") << status;
  EXPECT_THAT(std::string(status.message()),
              testing::AllOf(HasSubstr("257 gradients"), HasSubstr("at most 2147483647")));
}

// A bit an element is sent, and 4 or 8 bytes an element would be taken.
TEST(HandlersTest, HoldsDecodedSizesAgainstTheLimit) {
  v1::ComputeRequest request = MseRequest();
  v1::Tensor* const labels = request.mutable_labels();
  const at::Tensor bits = at::zeros({1 << 17}, at::kByte);
  ASSERT_TRUE(ToWire(bits, labels).ok());
  labels->set_dtype(v1::D_TYPE_INT64);
  labels->clear_shape();
  for (const int64_t size : {1, 1, 16, 256, 256}) labels->add_shape(size);
  labels->set_encoding(v1::ENCODING_BITS);
  constexpr int64_t kDecoded = 8 * (1 << 20) + 8 * 4;  // The prediction has 8 elements.
  Handlers handlers(1, 1);
  v1::ComputeResponse response;
  const absl::Status fits = Compute(handlers, request, kDecoded, Cancellation(), &response);
  EXPECT_TRUE(fits.ok()) << fits;
  const absl::Status unary = Compute(handlers, request, kDecoded - 1, Cancellation(), &response);
  EXPECT_EQ(unary.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_THAT(std::string(unary.message()), HasSubstr("max_request_bytes"));
  labels->clear_data();
  request.mutable_predictions(0)->mutable_tensor()->clear_data();
  EXPECT_TRUE(handlers.Prepare(request, {.bytes = kDecoded}).ok());
  const absl::Status streamed = handlers.Prepare(request, {.bytes = kDecoded - 1}).status();
  EXPECT_EQ(streamed.code(), absl::StatusCode::kResourceExhausted);
}

TEST(HandlersTest, TellsWhatARequestTakes) {
  Handlers handlers(1, 1);
  const v1::ComputeRequest in_message = MseRequest();
  const Demand of_message = handlers.Announce(in_message, {.bytes = kMaxBytes})->demand;
  EXPECT_GT(of_message.cost, 8);
  EXPECT_GE(of_message.answer_bytes, 3 * 32);
  v1::ComputeRequest header = in_message;
  header.mutable_predictions(0)->mutable_tensor()->clear_data();
  header.mutable_labels()->clear_data();
  const Demand of_stream = handlers.Prepare(header, {.bytes = kMaxBytes})->announcement.demand;
  // Both tensors come beside the message; the answer is there once.
  EXPECT_EQ(of_stream.answer_bytes * 3, of_message.answer_bytes);
  EXPECT_EQ(of_stream.bytes - of_stream.answer_bytes,
            of_message.bytes - of_message.answer_bytes + 64);
  EXPECT_EQ(of_stream.cost, of_message.cost);
}

// A device with little memory, which says from where it copies.
class SmallDevice final : public Device {
 public:
  SmallDevice(int64_t bytes, std::shared_ptr<ChunkMemory> memory)
      : Device({.name = "small", .description = "", .architecture = "", .memory_bytes = bytes}),
        memory_(std::move(memory)) {}

  absl::StatusOr<Outcome> Compute(const Orchestrator& plan, const Schedule& schedule,
                                  const Batch& batch, const Context& context) override {
    return plan.Compute(schedule, batch, context);
  }
  bool Works() override { return true; }
  void GiveBackMemory() override {}
  std::shared_ptr<ChunkMemory> HostMemory() override { return memory_; }

 private:
  const std::shared_ptr<ChunkMemory> memory_;
};

std::vector<std::unique_ptr<Device>> OneSmallDevice(int64_t bytes,
                                                    std::shared_ptr<ChunkMemory> memory = nullptr) {
  std::vector<std::unique_ptr<Device>> devices;
  devices.push_back(std::make_unique<SmallDevice>(bytes, std::move(memory)));
  return devices;
}

TEST(HandlersTest, RefusesWhatNeverFitsADevice) {
  // Prediction, labels and gradient, 8 floats each.
  constexpr int64_t kBytes = 3 * 8 * 4;
  Handlers enough(1, 1, 0, OneSmallDevice(kBytes));
  EXPECT_TRUE(enough.Announce(MseRequest(), {.bytes = kMaxBytes}).ok());
  Handlers too_small(1, 1, 0, OneSmallDevice(kBytes - 1));
  const absl::Status refused = too_small.Announce(MseRequest(), {.bytes = kMaxBytes}).status();
  EXPECT_EQ(ErrorReason(refused), "TOO_LARGE");
  EXPECT_THAT(std::string(refused.message()),
              HasSubstr("are 96 bytes on a device, and small has 95"));
}

// Memory of a device's choice.
class CountedMemory final : public ChunkMemory {
 public:
  std::byte* Take(size_t bytes, size_t alignment) override {
    ++taken;
    return ChunkMemory::Take(bytes, alignment);
  }
  int taken = 0;
};

TEST(HandlersTest, TensorsArriveWhereTheDeviceCopiesFrom) {
  const auto memory = std::make_shared<CountedMemory>();
  Handlers handlers(1, 1, 0, OneSmallDevice(1000, memory));
  const at::Tensor arrived = handlers.arrivals().Take(100);
  EXPECT_EQ(memory->taken, 1);
  EXPECT_GT(handlers.kept_bytes(), 0) << "counts as what is kept";
}

TEST(HandlersTest, RefusesWhatCostsTooMuch) {
  Handlers handlers(1, 1);
  const double cost = handlers.Announce(MseRequest(), {.bytes = kMaxBytes})->demand.cost;
  EXPECT_TRUE(handlers.Announce(MseRequest(), {.bytes = kMaxBytes, .cost = cost}).ok());
  const absl::Status refused =
      handlers.Announce(MseRequest(), {.bytes = kMaxBytes, .cost = cost - 1}).status();
  EXPECT_EQ(ErrorField(refused), "plan");
  EXPECT_THAT(std::string(refused.message()), HasSubstr("max_cost"));
}

TEST(HandlersTest, MakesLabelsOfASegmentation) {
  v1::ComputeRequest request = MseRequest();
  request.clear_labels();
  // One object along z: of the 8 edges the 4 that do not leave the volume join it.
  ASSERT_TRUE(ToWire(at::full({1, 2, 2, 2}, 9, at::kLong), request.mutable_gt_seg()).ok());
  request.add_labels_from_gt_seg()->set_z(-1);
  Handlers handlers(1, 1);
  v1::ComputeResponse response;
  const absl::Status status = Compute(handlers, request, kMaxBytes, Cancellation(), &response);
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(response.total(), (4 * 9 + 4 * 4) / 8.0);
  // What is made counts as if it had come: 8 elements of prediction, ids and labels.
  constexpr int64_t kBytes = 8 * (4 + 8 + 4);
  EXPECT_TRUE(Compute(handlers, request, kBytes, Cancellation(), &response).ok());
  EXPECT_EQ(Compute(handlers, request, kBytes - 1, Cancellation(), &response).code(),
            absl::StatusCode::kResourceExhausted);
  ASSERT_TRUE(ToWire(at::ones({1, 1, 2, 2, 2}), request.mutable_labels()).ok());
  const absl::Status both = Compute(handlers, request, kMaxBytes, Cancellation(), &response);
  EXPECT_EQ(ErrorField(both), "labels");
}

// A server's memory that a client shares, and the client's view of it.
class SharedMemoryTest : public testing::Test {
 protected:
  static constexpr uint64_t kSize = 4096;

  SharedMemoryTest() {
    const FileDescriptor file(memfd_create("segment", MFD_ALLOW_SEALING));
    EXPECT_EQ(ftruncate(file.get(), kSize), 0);
    EXPECT_EQ(fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
    token_ = handlers_.segments().Take(file, kSize).value();
    memory_ = handlers_.segments().Find(token_);
    request_ = MseRequest();
    Move(request_.mutable_predictions(0)->mutable_tensor(), 100);
    Move(request_.mutable_labels(), 200);
    *request_.mutable_gradients_into() = RegionOf(64, 32);
  }

  v1::SharedRegion RegionOf(uint64_t offset, uint64_t bytes) const {
    v1::SharedRegion region;
    region.set_segment(token_);
    region.set_offset(offset);
    region.set_bytes(bytes);
    return region;
  }

  // Puts a tensor's data into the shared memory.
  void Move(v1::Tensor* tensor, uint64_t offset) {
    std::memcpy(memory_->bytes().data() + offset, tensor->data().data(), tensor->data().size());
    *tensor->mutable_shared() = RegionOf(offset, tensor->data().size());
    tensor->clear_data();
  }

  absl::Status Compute() {
    return lossd::Compute(handlers_, request_, kMaxBytes, Cancellation(), &response_);
  }

  Handlers handlers_{1, 1, 1 << 20};
  std::string token_;
  Segments::Segment memory_;
  v1::ComputeRequest request_;
  v1::ComputeResponse response_;
};

TEST_F(SharedMemoryTest, HoldsTensorsAndGradients) {
  const absl::Status status = Compute();
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(response_.total(), 4);
  const v1::Tensor& gradient = response_.gradients(0).tensor();
  EXPECT_EQ(gradient.data(), "");
  EXPECT_EQ(gradient.shared().SerializeAsString(), RegionOf(64, 32).SerializeAsString());
  v1::ComputeResponse expected;
  ASSERT_TRUE(lossd::Compute(handlers_, MseRequest(), kMaxBytes, Cancellation(), &expected).ok());
  EXPECT_EQ(absl::string_view(reinterpret_cast<const char*>(memory_->bytes().data()) + 64, 32),
            expected.gradients(0).tensor().data());
}

TEST_F(SharedMemoryTest, HoldsTheGradientsOfTermsFirst) {
  request_.set_per_term_gradients(true);
  *request_.mutable_gradients_into() = RegionOf(1000, 64);
  const absl::Status status = Compute();
  ASSERT_TRUE(status.ok()) << status;
  EXPECT_EQ(response_.terms(0).gradients(0).tensor().shared().offset(), 1000);
  EXPECT_EQ(response_.gradients(0).tensor().shared().offset(), 1032);
}

TEST_F(SharedMemoryTest, GradientsMayTakeThePlaceOfPredictions) {
  *request_.mutable_gradients_into() = request_.predictions(0).tensor().shared();
  ASSERT_TRUE(Compute().ok());
  EXPECT_EQ(response_.total(), 4);
}

TEST_F(SharedMemoryTest, IsOneOfTwoPlaces) {
  request_.mutable_labels()->set_data(std::string(32, '\0'));
  EXPECT_EQ(ErrorField(Compute()), "labels.shared");
}

TEST_F(SharedMemoryTest, SaysWhichRegionIsWrong) {
  const auto field_of = [&](const v1::SharedRegion& region) {
    *request_.mutable_labels()->mutable_shared() = region;
    return ErrorField(Compute());
  };
  EXPECT_EQ(field_of(RegionOf(kSize + 1, 0)), "labels.shared.offset");
  EXPECT_EQ(field_of(RegionOf(UINT64_MAX, 32)), "labels.shared.offset");
  EXPECT_EQ(field_of(RegionOf(kSize - 31, 32)), "labels.shared.bytes");
  EXPECT_EQ(field_of(RegionOf(1, UINT64_MAX)), "labels.shared.bytes");
  EXPECT_EQ(field_of(RegionOf(0, 31)), "labels.shared.bytes");
  EXPECT_EQ(field_of(RegionOf(0, 33)), "labels.shared.bytes");
  EXPECT_EQ(field_of(RegionOf(kSize - 32, 32)), std::nullopt);
  *request_.mutable_gradients_into() = RegionOf(0, 31);
  const absl::Status small = Compute();
  EXPECT_EQ(ErrorField(small), "gradients_into.bytes");
  EXPECT_THAT(std::string(small.message()), HasSubstr("at least 32"));
}

TEST_F(SharedMemoryTest, MustBeKnown) {
  handlers_.segments().Forget(token_);
  const absl::Status forgotten = Compute();
  EXPECT_EQ(forgotten.code(), absl::StatusCode::kFailedPrecondition) << forgotten;
  EXPECT_EQ(ErrorReason(forgotten), "UNKNOWN_SEGMENT");
}

TEST_F(SharedMemoryTest, IsNotForStreams) {
  EXPECT_EQ(ErrorField(handlers_.Prepare(request_, {.bytes = kMaxBytes}).status()),
            "gradients_into");
  request_.clear_gradients_into();
  EXPECT_EQ(ErrorField(handlers_.Prepare(request_, {.bytes = kMaxBytes}).status()),
            "predictions[output].shared");
}

TEST(HandlersTest, ReportsEveryMistakeOfAPlan) {
  // Mistakes in the text, and mistakes of a plan that can be read.
  for (const char* plan :
       {"[{function: MSELoss, weigth: 2}, {function: SmoothL1Loss, kwargs: {beta: x}}]",
        "[{function: MSELoss, pos_weight: 2}, {function: SmoothL1Loss, kwargs: {beta: -1}}]"}) {
    const v1::ValidatePlanResponse response = Validate(plan);
    ASSERT_EQ(response.problems_size(), 2) << plan;
    EXPECT_THAT(response.problems(0).field(), HasSubstr("losses[0].")) << plan;
    EXPECT_EQ(response.problems(1).field(), "losses[1].kwargs.beta") << plan;
    EXPECT_THAT(response.problems(1).message(), HasSubstr("losses[1].kwargs.beta: ")) << plan;
    EXPECT_FALSE(response.has_plan());
    EXPECT_TRUE(response.explanations().empty());
  }
}

TEST(HandlersTest, MistakesInOneTermDoNotHideThoseInOthers) {
  const v1::ValidatePlanResponse response =
      Validate("[{function: MSELos, pos_weight: 2}, {function: MSELoss, pos_weight: 2}]");
  ASSERT_EQ(response.problems_size(), 2);
  EXPECT_EQ(response.problems(0).field(), "losses[0].function");
  EXPECT_EQ(response.problems(1).field(), "losses[1].pos_weight");
  // What follows from a mistake is none.
  EXPECT_EQ(Validate("{heads: 5, losses: [{function: MSELoss, pred_head: a}]}").problems_size(), 1);
}

TEST(HandlersTest, NoMistakeHidesAnotherInItsTermOrBesideTheTerms) {
  const v1::ValidatePlanResponse response = Validate(R"({
      loss_balancing: {strategy: uncertanty},
      losses: [{function: MalisLoss, kwargs: {malis_crop_size: [-4, 8, 8], sigmoi: true}},
               {function: GANLoss},
               {function: NonOverlapRegularization, weigth: 2},
               {function: MSELoss, kwargs: {reduction: none}, pos_weight: 2}]})");
  std::vector<std::string> fields;
  for (const v1::PlanProblem& problem : response.problems()) fields.push_back(problem.field());
  EXPECT_THAT(fields, UnorderedElementsAre("loss_balancing.strategy", "losses[0].kwargs.sigmoi",
                                           "losses[0].kwargs.malis_crop_size", "losses[1].function",
                                           "losses[2].weigth", "losses[2].pred_slice",
                                           "losses[3].kwargs.reduction", "losses[3].pos_weight"));
}

TEST(HandlersTest, ExplainsBalancing) {
  const auto explain = [](const std::string& strategy) {
    return Validate(absl::StrCat("{losses: [{function: MSELoss}], loss_balancing: {strategy: ",
                                 strategy, "}}"))
        .explanations();
  };
  EXPECT_THAT(explain("none"), SizeIs(1));
  EXPECT_THAT(explain("uncertainty"), ElementsAre(_, HasSubstr("log_vars")));
  EXPECT_THAT(explain("gradnorm"), ElementsAre(_, HasSubstr("gradnorm_alpha 0.5")));
}

TEST(HandlersTest, ExplainsAGoodPlanTermByTerm) {
  const v1::ValidatePlanResponse response =
      Validate("[{function: MSELoss}, {function: MalisLoss, kwargs: {malis_crop_size: 64}}]");
  EXPECT_TRUE(response.problems().empty());
  EXPECT_THAT(response.explanations(),
              ElementsAre(HasSubstr("term_0: 1 × MSELoss"), HasSubstr("64 × 64 × 64")));
  EXPECT_EQ(response.plan().losses(1).function(), "MalisLoss");
  EXPECT_TRUE(response.plan().losses(1).kwargs().fields().at("sigmoid").bool_value());
}

TEST(HandlersTest, NeedsAPlanToCheck) {
  Handlers handlers(1, 1);
  v1::ValidatePlanResponse response;
  EXPECT_EQ(ErrorField(handlers.ValidatePlan(v1::ValidatePlanRequest(), &response)), "plan");
}

}  // namespace
}  // namespace lossd
