#include "lossd/client.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lossd/base/error.h"
#include "lossd/rpc_error.h"
#include "lossd/wire/tensor.h"

namespace lossd {
namespace {

// A tensor of a batch, under the name that errors call it.
struct BatchTensor {
  std::string field;
  at::Tensor tensor;
};

// Labels, masks and segmentation, as far as they are there.
std::vector<BatchTensor> Companions(const Batch& batch) {
  std::vector<BatchTensor> companions;
  for (const BatchTensor& companion : {BatchTensor{"labels", batch.labels},
                                       {"mask", batch.mask},
                                       {"label_mask", batch.label_mask},
                                       {"gt_seg", batch.gt_seg}}) {
    if (companion.tensor.defined()) companions.push_back(companion);
  }
  return companions;
}

std::string PredictionField(const NamedTensor& prediction) {
  return absl::StrCat("predictions[", prediction.name, "]");
}

// There are gradients of predictions only: who wants another one would silently get none.
absl::Status CheckNeedsNoGradient(const Batch& batch) {
  if (batch.losses_only || !at::GradMode::is_enabled()) return absl::OkStatus();
  for (const auto& [field, tensor] : Companions(batch)) {
    if (!tensor.requires_grad()) continue;
    return FieldError(field, "a tensor that requires a gradient",
                      absl::StrCat(field, ".detach(), as there are gradients of predictions only"));
  }
  return absl::OkStatus();
}

// Whether the tensors fit into one message beside the `rest` of the request, before gigabytes are
// copied: gRPC ends the process that sends a larger one.
absl::Status CheckFits(const Batch& batch, int64_t rest) {
  std::vector<BatchTensor> tensors = Companions(batch);
  for (const NamedTensor& prediction : batch.predictions) {
    tensors.push_back({PredictionField(prediction), prediction.tensor});
  }
  const auto bytes = [](const BatchTensor& tensor) {
    return tensor.tensor.numel() * tensor.tensor.element_size();
  };
  int64_t total = rest;
  for (const BatchTensor& tensor : tensors) {
    total += bytes(tensor) + kTensorOverheadBytes + static_cast<int64_t>(tensor.field.size());
  }
  if (total <= kMaxMessageBytes) return absl::OkStatus();
  const auto largest = std::ranges::max_element(tensors, {}, bytes);
  return FieldError(
      largest->field, absl::StrCat(bytes(*largest), " bytes of ", total, " in all"),
      absl::StrCat("at most ", kMaxMessageBytes,
                   " in all, what one message holds: send fewer voxels at a time, float16 "
                   "predictions, bool or uint8 labels and masks"));
}

// Nothing for an absent tensor.
template <typename Mutable>
absl::Status WriteOptional(const at::Tensor& tensor, absl::string_view field, Mutable message) {
  return tensor.defined() ? InField(field, ToWire(tensor, message())) : absl::OkStatus();
}

absl::Status WriteTensors(const Batch& batch, v1::ComputeRequest& request) {
  absl::Status status;
  for (const NamedTensor& prediction : batch.predictions) {
    v1::NamedTensor* message = request.add_predictions();
    message->set_name(prediction.name);
    status.Update(
        InField(PredictionField(prediction), ToWire(prediction.tensor, message->mutable_tensor())));
  }
  status.Update(WriteOptional(batch.labels, "labels", [&] { return request.mutable_labels(); }));
  status.Update(WriteOptional(batch.mask, "mask", [&] { return request.mutable_mask(); }));
  status.Update(
      WriteOptional(batch.label_mask, "label_mask", [&] { return request.mutable_label_mask(); }));
  status.Update(WriteOptional(batch.gt_seg, "gt_seg", [&] { return request.mutable_gt_seg(); }));
  return status;
}

// A request without its tensors.
v1::ComputeRequest WriteSettings(const v1::PlanSource& plan, const Batch& batch,
                                 absl::string_view request_id) {
  v1::ComputeRequest request;
  request.set_request_id(std::string(request_id));
  *request.mutable_plan() = plan;
  request.set_mode(batch.mode == Mode::kDeepSupervision ? v1::MODE_DEEP_SUPERVISION
                                                        : v1::MODE_STANDARD);
  request.set_stage(batch.stage);
  for (const VoxelIndex& origin : batch.malis_crop_origins) {
    v1::Voxel* voxel = request.mutable_malis_crop()->add_origins();
    voxel->set_z(origin[0]);
    voxel->set_y(origin[1]);
    voxel->set_x(origin[2]);
  }
  if (batch.malis_crop_seed.has_value()) {
    request.mutable_malis_crop()->set_seed(*batch.malis_crop_seed);
  }
  request.mutable_log_vars()->Assign(batch.log_vars.begin(), batch.log_vars.end());
  request.mutable_task_weights()->Assign(batch.task_weights.begin(), batch.task_weights.end());
  request.set_per_term_gradients(batch.per_term_gradients);
  request.set_losses_only(batch.losses_only);
  request.set_allow_non_finite(batch.allow_non_finite);
  if (batch.float32_gradients) request.set_gradient_dtype(v1::D_TYPE_FLOAT32);
  return request;
}

absl::StatusOr<v1::ComputeRequest> WriteRequest(const v1::PlanSource& plan, const Batch& batch,
                                                absl::string_view request_id) {
  for (const NamedTensor& prediction : batch.predictions) {
    if (prediction.tensor.defined()) continue;
    return FieldError(PredictionField(prediction), "an undefined tensor", "a tensor");
  }
  if (absl::Status status = CheckNeedsNoGradient(batch); !status.ok()) return status;
  v1::ComputeRequest request = WriteSettings(plan, batch, request_id);
  absl::Status status = CheckFits(batch, static_cast<int64_t>(request.ByteSizeLong()));
  if (status.ok()) status = WriteTensors(batch, request);
  if (!status.ok()) return status;
  return request;
}

using NamedTensorMessages = google::protobuf::RepeatedPtrField<v1::NamedTensor>;
using SharedResponse = std::shared_ptr<const v1::ComputeResponse>;

// Tensors over the response's bytes, which each of them keeps alive.
absl::StatusOr<std::vector<NamedTensor>> ReadTensors(const NamedTensorMessages& messages,
                                                     const SharedResponse& response) {
  std::vector<NamedTensor> tensors;
  for (const v1::NamedTensor& message : messages) {
    const absl::StatusOr<at::Tensor> read = FromWire(message.tensor());
    if (!read.ok()) {
      return absl::InternalError(absl::StrCat("the server's answer: ", read.status().message()));
    }
    const at::Tensor& view = *read;
    tensors.push_back(
        {message.name(),
         at::from_blob(view.data_ptr(), view.sizes(), [response, view](void*) {}, view.options())});
  }
  return tensors;
}

absl::StatusOr<TermOutcome> ReadTerm(const v1::TermResult& message,
                                     const SharedResponse& response) {
  TermOutcome term;
  term.name = message.name();
  term.function = message.function();
  term.scale = message.scale();
  term.raw = message.raw();
  term.coefficient = message.coefficient();
  term.weighted = message.weighted();
  term.balance_weight = message.balance_weight();
  if (message.has_malis_crop_origin()) {
    const v1::Voxel& origin = message.malis_crop_origin();
    term.malis_crop_origin = VoxelIndex{origin.z(), origin.y(), origin.x()};
  }
  term.time = absl::Seconds(message.seconds());
  absl::StatusOr<std::vector<NamedTensor>> gradients = ReadTensors(message.gradients(), response);
  if (!gradients.ok()) return gradients.status();
  term.gradients = *std::move(gradients);
  return term;
}

absl::StatusOr<Result> ReadResult(const SharedResponse& response) {
  Result result;
  result.request_id = response->request_id();
  result.total = response->total();
  for (const v1::LogEntry& entry : response->logs()) {
    result.logs.emplace_back(entry.key(), entry.value());
  }
  for (const v1::TermResult& message : response->terms()) {
    absl::StatusOr<TermOutcome> term = ReadTerm(message, response);
    if (!term.ok()) return term.status();
    result.terms.push_back(*std::move(term));
  }
  absl::StatusOr<std::vector<NamedTensor>> gradients = ReadTensors(response->gradients(), response);
  if (!gradients.ok()) return gradients.status();
  result.gradients = *std::move(gradients);
  result.log_vars_gradient.assign(response->log_vars_gradient().begin(),
                                  response->log_vars_gradient().end());
  result.drew_crop_origin = response->has_malis_crop_seed();
  if (result.drew_crop_origin) result.malis_crop_seed = response->malis_crop_seed();
  const v1::Timings& timings = response->timings();
  result.timings.queue = absl::Seconds(timings.queue_seconds());
  result.timings.decode = absl::Seconds(timings.decode_seconds());
  result.timings.compute = absl::Seconds(timings.compute_seconds());
  result.timings.encode = absl::Seconds(timings.encode_seconds());
  result.timings.total = absl::Seconds(timings.total_seconds());
  return result;
}

}  // namespace

absl::StatusOr<Client> Client::Connect(const std::string& target, const ClientOptions& options) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(-1);
  arguments.SetMaxSendMessageSize(-1);
  const std::shared_ptr<grpc::Channel> channel =
      grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(), arguments);
  if (!channel->WaitForConnected(absl::ToChronoTime(absl::Now() + options.connect_timeout))) {
    return absl::UnavailableError(absl::StrCat("no server answers at ", target, " within ",
                                               absl::FormatDuration(options.connect_timeout)));
  }
  return Client(v1::LossService::NewStub(channel), options);
}

absl::StatusOr<Result> Client::Compute(const v1::PlanSource& plan, const Batch& batch,
                                       absl::string_view request_id) const {
  const absl::Time start = absl::Now();
  const absl::StatusOr<v1::ComputeRequest> request = WriteRequest(plan, batch, request_id);
  if (!request.ok()) return request.status();
  const auto response = std::make_shared<v1::ComputeResponse>();
  const absl::Status status = Call(&Stub::Compute, *request, response.get());
  if (!status.ok()) return status;
  absl::StatusOr<Result> result = ReadResult(response);
  if (result.ok()) result->timings.round_trip = absl::Now() - start;
  return result;
}

absl::StatusOr<Result> Client::Compute(absl::string_view plan, const Batch& batch,
                                       absl::string_view request_id) const {
  return Compute(PlanText(plan), batch, request_id);
}

absl::StatusOr<v1::ValidatePlanResponse> Client::ValidatePlan(const v1::PlanSource& plan) const {
  v1::ValidatePlanRequest request;
  *request.mutable_plan() = plan;
  v1::ValidatePlanResponse response;
  const absl::Status status = Call(&Stub::ValidatePlan, request, &response);
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::ListLossesResponse> Client::ListLosses() const {
  v1::ListLossesResponse response;
  const absl::Status status = Call(&Stub::ListLosses, v1::ListLossesRequest(), &response);
  if (!status.ok()) return status;
  return response;
}

absl::StatusOr<v1::GetServerInfoResponse> Client::GetServerInfo() const {
  v1::GetServerInfoResponse response;
  const absl::Status status = Call(&Stub::GetServerInfo, v1::GetServerInfoRequest(), &response);
  if (!status.ok()) return status;
  return response;
}

template <typename Request, typename Response>
absl::Status Client::Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                       Response*),
                          const Request& request, Response* response) const {
  const absl::Time deadline = absl::Now() + options_.timeout;
  absl::Duration pause = options_.first_pause;
  for (int repetition = 0;; ++repetition) {
    grpc::ClientContext context;
    if (deadline < absl::InfiniteFuture()) context.set_deadline(absl::ToChronoTime(deadline));
    const absl::Status status = FromRpcStatus((stub_.get()->*method)(&context, request, response));
    const std::optional<absl::Duration> asked = RetryDelay(status);
    // Nobody here cancels: that is a server that stopped before it looked at the call.
    const bool gone = absl::IsUnavailable(status) || absl::IsCancelled(status);
    if (!gone && !asked.has_value()) return status;
    // Clients that were refused together shall not come back together.
    const absl::Duration wait = std::max(asked.value_or(absl::ZeroDuration()), pause) *
                                absl::Uniform(absl::BitGen(), 1.0, 1.5);
    if (repetition == options_.retries || absl::Now() + wait >= deadline) return status;
    absl::SleepFor(wait);
    pause = std::min(2 * pause, options_.longest_pause);
    response->Clear();
  }
}

v1::PlanSource PlanText(absl::string_view text) {
  v1::PlanSource source;
  source.set_text(std::string(text));
  return source;
}

}  // namespace lossd
