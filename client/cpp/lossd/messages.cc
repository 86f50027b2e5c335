#include "lossd/messages.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/wire/compression.h"
#include "lossd/wire/encoding.h"
#include "lossd/wire/tensor.h"

namespace lossd {
namespace {

std::string PredictionField(absl::string_view name) {
  return absl::StrCat("predictions[", name, "]");
}

// A tensor of a batch, which outlives it.
struct BatchTensor {
  absl::string_view name;  // Of a prediction, or else the field.
  bool is_prediction;
  const at::Tensor* tensor;

  // What errors call it.
  std::string field() const { return is_prediction ? PredictionField(name) : std::string(name); }
  int64_t bytes() const { return tensor->numel() * tensor->element_size(); }
};

// Labels, masks and segmentation, as far as they are there.
std::vector<BatchTensor> Companions(const Batch& batch) {
  std::vector<BatchTensor> companions;
  for (const BatchTensor& companion : {BatchTensor{"labels", false, &batch.labels},
                                       {"mask", false, &batch.mask},
                                       {"label_mask", false, &batch.label_mask},
                                       {"gt_seg", false, &batch.gt_seg}}) {
    if (companion.tensor->defined()) companions.push_back(companion);
  }
  return companions;
}

// All of them, in the order of a stream.
std::vector<BatchTensor> TensorsOf(const Batch& batch) {
  std::vector<BatchTensor> tensors;
  for (const NamedTensor& prediction : batch.predictions) {
    tensors.push_back({prediction.name, true, &prediction.tensor});
  }
  std::ranges::copy(Companions(batch), std::back_inserter(tensors));
  return tensors;
}

// There are gradients of predictions only: who wants another one would silently get none.
absl::Status CheckNeedsNoGradient(const Batch& batch) {
  if (batch.losses_only || !at::GradMode::is_enabled()) return absl::OkStatus();
  for (const BatchTensor& companion : Companions(batch)) {
    if (!companion.tensor->requires_grad()) continue;
    return FieldError(
        companion.field(), "a tensor that requires a gradient",
        absl::StrCat(companion.field(), ".detach(), as there are gradients of predictions only"));
  }
  return absl::OkStatus();
}

// Whether the tensors fit into one message beside the `rest` of the request.
absl::Status CheckFits(const Batch& batch, int64_t rest) {
  const std::vector<BatchTensor> tensors = TensorsOf(batch);
  int64_t total = rest;
  for (const BatchTensor& tensor : tensors) {
    total += tensor.bytes() + kTensorOverheadBytes + static_cast<int64_t>(tensor.name.size());
  }
  if (total <= kMaxMessageBytes) return absl::OkStatus();
  const auto largest = std::ranges::max_element(tensors, {}, &BatchTensor::bytes);
  return FieldError(largest->field(),
                    absl::StrCat(largest->bytes(), " bytes of ", total, " in all"),
                    absl::StrCat("at most ", kMaxMessageBytes,
                                 " in all, what one message holds: send it as a stream"));
}

// A request without its tensors.
v1::ComputeRequest WriteSettings(const CallInputs& call) {
  const Batch& batch = call.batch;
  v1::ComputeRequest request;
  request.set_request_id(std::string(call.request_id));
  request.mutable_plan()->set_text(std::string(call.plan));
  request.set_mode(batch.mode == Mode::kDeepSupervision ? v1::MODE_DEEP_SUPERVISION
                                                        : v1::MODE_STANDARD);
  request.set_stage(batch.stage);
  for (const auto& [z, y, x] : batch.labels_from_gt_seg) {
    v1::Offset* offset = request.add_labels_from_gt_seg();
    offset->set_z(z);
    offset->set_y(y);
    offset->set_x(x);
  }
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

// Describes a tensor in its message, and returns its elements as they are sent.
absl::StatusOr<at::Tensor> Describe(const at::Tensor& tensor, v1::Tensor* message) {
  if (absl::Status status = DescribeOnWire(tensor, message); !status.ok()) return status;
  return DenseOnCpu(tensor);
}

// The same in the shortest encoding, and compressed if that is asked for and makes it smaller.
absl::StatusOr<at::Tensor> DescribeEncoded(const at::Tensor& tensor, ElementUse use, bool compress,
                                           v1::Tensor* message) {
  const absl::StatusOr<at::Tensor> dense = Describe(tensor, message);
  if (!dense.ok()) return dense.status();
  EncodedElements elements = Encode(*dense, use);
  message->set_encoding(elements.encoding);
  if (!compress || elements.encoding == v1::ENCODING_UNSPECIFIED) return std::move(elements.data);
  at::Tensor frame = Compress(elements.data);
  if (!frame.defined()) return std::move(elements.data);
  message->set_compression(v1::COMPRESSION_LZ4);
  message->set_compressed_bytes(frame.nbytes());
  return frame;
}

using DataWriter = absl::FunctionRef<void(at::Tensor data, v1::Tensor* message)>;

// A request with its tensors, whose elements `write_data` gets one by one, in the order of a
// stream. Predictions are as the network made them: there is nothing shorter.
absl::StatusOr<v1::ComputeRequest> WriteTensors(const CallInputs& call, v1::ComputeRequest request,
                                                DataWriter write_data) {
  const Batch& batch = call.batch;
  absl::Status status;
  const auto write = [&](const BatchTensor& tensor, absl::StatusOr<at::Tensor> data,
                         v1::Tensor* message) {
    if (data.ok()) {
      write_data(*std::move(data), message);
    } else {
      status.Update(InField(tensor.field(), data.status()));
    }
  };
  for (const NamedTensor& prediction : batch.predictions) {
    v1::NamedTensor* message = request.add_predictions();
    message->set_name(prediction.name);
    write({prediction.name, true, &prediction.tensor},
          Describe(prediction.tensor, message->mutable_tensor()), message->mutable_tensor());
  }
  const auto write_if = [&](const at::Tensor& tensor, absl::string_view field, ElementUse use,
                            auto mutable_message) {
    if (!tensor.defined()) return;
    v1::Tensor* message = (request.*mutable_message)();
    write({field, false, &tensor}, DescribeEncoded(tensor, use, call.compress, message), message);
  };
  constexpr auto kNumbers = ElementUse::kNumbers;
  write_if(batch.labels, "labels", kNumbers, &v1::ComputeRequest::mutable_labels);
  write_if(batch.mask, "mask", kNumbers, &v1::ComputeRequest::mutable_mask);
  write_if(batch.label_mask, "label_mask", kNumbers, &v1::ComputeRequest::mutable_label_mask);
  write_if(batch.gt_seg, "gt_seg", ElementUse::kIds, &v1::ComputeRequest::mutable_gt_seg);
  if (!status.ok()) return status;
  return request;
}

using NamedTensorMessages = google::protobuf::RepeatedPtrField<v1::NamedTensor>;
using TensorReader = absl::FunctionRef<absl::StatusOr<at::Tensor>(const v1::Tensor&)>;

absl::StatusOr<std::vector<NamedTensor>> ReadTensors(const NamedTensorMessages& messages,
                                                     TensorReader read) {
  std::vector<NamedTensor> tensors;
  for (const v1::NamedTensor& message : messages) {
    const v1::Tensor& sent = message.tensor();
    if (sent.encoding() != v1::ENCODING_UNSPECIFIED ||
        sent.compression() != v1::COMPRESSION_UNSPECIFIED) {
      // It could make us take many times the memory that came.
      return absl::InternalError(
          absl::StrCat("the server's answer: gradient ", message.name(), " is encoded"));
    }
    absl::StatusOr<at::Tensor> tensor = read(sent);
    if (!tensor.ok()) {
      return absl::InternalError(absl::StrCat("the server's answer: ", tensor.status().message()));
    }
    tensors.push_back({message.name(), *std::move(tensor)});
  }
  return tensors;
}

absl::StatusOr<TermOutcome> ReadTerm(const v1::TermResult& message, TensorReader read) {
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
  absl::StatusOr<std::vector<NamedTensor>> gradients = ReadTensors(message.gradients(), read);
  if (!gradients.ok()) return gradients.status();
  term.gradients = *std::move(gradients);
  return term;
}

}  // namespace

absl::Status CheckBatch(const Batch& batch) {
  for (const NamedTensor& prediction : batch.predictions) {
    if (prediction.tensor.defined()) continue;
    return FieldError(PredictionField(prediction.name), "an undefined tensor", "a tensor");
  }
  return CheckNeedsNoGradient(batch);
}

int64_t TensorBytes(const Batch& batch) {
  int64_t total = 0;
  for (const BatchTensor& tensor : TensorsOf(batch)) total += tensor.bytes();
  return total;
}

absl::StatusOr<v1::ComputeRequest> WriteRequest(const CallInputs& call) {
  v1::ComputeRequest request = WriteSettings(call);
  absl::Status fits = CheckFits(call.batch, static_cast<int64_t>(request.ByteSizeLong()));
  if (!fits.ok()) return fits;
  return WriteTensors(call, std::move(request), [](const at::Tensor& data, v1::Tensor* message) {
    message->set_data(data.const_data_ptr(), data.nbytes());
  });
}

absl::StatusOr<OutgoingRequest> WriteOutgoingRequest(const CallInputs& call) {
  OutgoingRequest request;
  absl::StatusOr<v1::ComputeRequest> header =
      WriteTensors(call, WriteSettings(call), [&](at::Tensor data, v1::Tensor* /*message*/) {
        request.tensors.push_back(std::move(data));
      });
  if (!header.ok()) return header.status();
  request.header = *std::move(header);
  return request;
}

absl::StatusOr<Result> ReadResult(const v1::ComputeResponse& response, TensorReader read) {
  Result result;
  result.request_id = response.request_id();
  result.total = response.total();
  for (const v1::LogEntry& entry : response.logs()) {
    result.logs.emplace_back(entry.key(), entry.value());
  }
  for (const v1::TermResult& message : response.terms()) {
    absl::StatusOr<TermOutcome> term = ReadTerm(message, read);
    if (!term.ok()) return term.status();
    result.terms.push_back(*std::move(term));
  }
  absl::StatusOr<std::vector<NamedTensor>> gradients = ReadTensors(response.gradients(), read);
  if (!gradients.ok()) return gradients.status();
  result.gradients = *std::move(gradients);
  result.log_vars_gradient.assign(response.log_vars_gradient().begin(),
                                  response.log_vars_gradient().end());
  result.drew_crop_origin = response.has_malis_crop_seed();
  if (result.drew_crop_origin) result.malis_crop_seed = response.malis_crop_seed();
  const v1::Timings& timings = response.timings();
  result.timings.queue = absl::Seconds(timings.queue_seconds());
  result.timings.decode = absl::Seconds(timings.decode_seconds());
  result.timings.compute = absl::Seconds(timings.compute_seconds());
  result.timings.encode = absl::Seconds(timings.encode_seconds());
  result.timings.total = absl::Seconds(timings.total_seconds());
  result.timings.receive = absl::Seconds(timings.receive_seconds());
  return result;
}

}  // namespace lossd
