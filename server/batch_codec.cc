#include "server/batch_codec.h"

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lossd/base/error.h"

namespace lossd {
namespace {

constexpr size_t kMaxStageBytes = 128;

// Reads the tensor of that field. A stand-in has no values to check.
absl::Status ReadTensor(const v1::Tensor& message, absl::string_view field, ElementUse use,
                        TensorReader read, at::Tensor& tensor) {
  absl::StatusOr<at::Tensor> result = read(message, use);
  if (!result.ok()) return InField(field, result.status());
  // Bits beyond int64 are as good as any for ids, which are only compared, but not for numbers.
  if (use == ElementUse::kNumbers && message.dtype() == v1::D_TYPE_UINT64 && !result->is_meta() &&
      result->min().item<int64_t>() < 0) {
    return FieldError(absl::StrCat(field, ".data"), "a value above 2^63 - 1",
                      "values that fit into int64");
  }
  tensor = *std::move(result);
  return absl::OkStatus();
}

// Reads what of a request becomes tensors.
absl::Status ReadTensors(const v1::ComputeRequest& request, TensorReader read, Batch& batch) {
  for (const v1::NamedTensor& named : request.predictions()) {
    NamedTensor& prediction = batch.predictions.emplace_back();
    prediction.name = named.name();
    absl::Status status =
        ReadTensor(named.tensor(), absl::StrCat("predictions[", named.name(), "]"),
                   ElementUse::kNumbers, read, prediction.tensor);
    if (!status.ok()) return status;
  }
  absl::Status status;
  const auto read_if = [&](bool present, const v1::Tensor& message, absl::string_view field,
                           ElementUse use, at::Tensor& tensor) {
    if (present && status.ok()) status = ReadTensor(message, field, use, read, tensor);
  };
  read_if(request.has_labels(), request.labels(), "labels", ElementUse::kNumbers, batch.labels);
  read_if(request.has_mask(), request.mask(), "mask", ElementUse::kNumbers, batch.mask);
  read_if(request.has_label_mask(), request.label_mask(), "label_mask", ElementUse::kNumbers,
          batch.label_mask);
  read_if(request.has_gt_seg(), request.gt_seg(), "gt_seg", ElementUse::kIds, batch.gt_seg);
  return status;
}

absl::StatusOr<Mode> ReadMode(v1::Mode mode) {
  switch (mode) {
    case v1::MODE_UNSPECIFIED:
    case v1::MODE_STANDARD:
      return Mode::kStandard;
    case v1::MODE_DEEP_SUPERVISION:
      return Mode::kDeepSupervision;
    default:
      return FieldError("mode", absl::StrCat(static_cast<int>(mode)), "a mode of lossd.v1.Mode");
  }
}

absl::Status WriteTensors(const std::vector<NamedTensor>& tensors,
                          google::protobuf::RepeatedPtrField<v1::NamedTensor>* messages,
                          std::vector<at::Tensor>* apart) {
  for (const NamedTensor& tensor : tensors) {
    v1::NamedTensor* message = messages->Add();
    message->set_name(tensor.name);
    const absl::Status written = apart == nullptr
                                     ? ToWire(tensor.tensor, message->mutable_tensor())
                                     : DescribeOnWire(tensor.tensor, message->mutable_tensor());
    if (!written.ok()) return absl::InternalError(written.message());
    if (apart != nullptr) apart->push_back(DenseOnCpu(tensor.tensor));
  }
  return absl::OkStatus();
}

absl::Status WriteTerm(const TermOutcome& outcome, v1::TermResult* result,
                       std::vector<at::Tensor>* apart) {
  result->set_name(outcome.name);
  result->set_function(outcome.function);
  result->set_scale(outcome.scale);
  result->set_raw(outcome.raw);
  result->set_coefficient(outcome.coefficient);
  result->set_weighted(outcome.weighted);
  result->set_balance_weight(outcome.balance_weight);
  if (outcome.malis_crop_origin.has_value()) {
    v1::Voxel* origin = result->mutable_malis_crop_origin();
    origin->set_z((*outcome.malis_crop_origin)[0]);
    origin->set_y((*outcome.malis_crop_origin)[1]);
    origin->set_x((*outcome.malis_crop_origin)[2]);
  }
  result->set_malis_negative_pairs(outcome.malis_pairs.negative);
  result->set_malis_positive_pairs(outcome.malis_pairs.positive);
  result->set_seconds(absl::ToDoubleSeconds(outcome.time));
  return WriteTensors(outcome.gradients, result->mutable_gradients(), apart);
}

}  // namespace

absl::StatusOr<Batch> ReadBatch(const v1::ComputeRequest& request, TensorReader read) {
  Batch batch;
  const absl::StatusOr<Mode> mode = ReadMode(request.mode());
  if (!mode.ok()) return mode.status();
  batch.mode = *mode;
  if (request.stage().size() > kMaxStageBytes) {
    return FieldError("stage", absl::StrCat(request.stage().size(), " bytes"),
                      absl::StrCat("at most ", kMaxStageBytes));
  }
  if (!request.stage().empty()) batch.stage = request.stage();

  if (absl::Status tensors = ReadTensors(request, read, batch); !tensors.ok()) return tensors;

  for (const v1::Offset& offset : request.labels_from_gt_seg()) {
    batch.labels_from_gt_seg.push_back({offset.z(), offset.y(), offset.x()});
  }
  for (const v1::Voxel& origin : request.malis_crop().origins()) {
    batch.malis_crop_origins.push_back({origin.z(), origin.y(), origin.x()});
  }
  batch.malis_crop_seed = request.has_malis_crop() ? request.malis_crop().seed()
                                                   : absl::Uniform<uint64_t>(absl::BitGen());
  batch.log_vars.assign(request.log_vars().begin(), request.log_vars().end());
  batch.task_weights.assign(request.task_weights().begin(), request.task_weights().end());
  if (request.gradient_dtype() != v1::D_TYPE_UNSPECIFIED) {
    if (request.gradient_dtype() != v1::D_TYPE_FLOAT32) {
      return FieldError("gradient_dtype", absl::StrCat(static_cast<int>(request.gradient_dtype())),
                        "D_TYPE_FLOAT32, or nothing for the predictions' own");
    }
    batch.float32_gradients = true;
  }
  batch.per_term_gradients = request.per_term_gradients();
  batch.losses_only = request.losses_only();
  batch.allow_non_finite = request.allow_non_finite();
  return batch;
}

absl::Status CheckBatchFits(const Batch& batch, int64_t max_bytes) {
  std::vector<at::Tensor> tensors = {batch.labels, batch.mask, batch.label_mask, batch.gt_seg};
  for (const NamedTensor& prediction : batch.predictions) tensors.push_back(prediction.tensor);
  int64_t left = max_bytes;
  for (const at::Tensor& tensor : tensors) {
    if (!tensor.defined()) continue;
    const auto bytes = static_cast<int64_t>(tensor.nbytes());
    if (bytes > left) {
      return absl::ResourceExhaustedError(
          absl::StrCat("the request's tensors have more bytes than the ", max_bytes,
                       " of the server's max_request_bytes"));
    }
    left -= bytes;
  }
  return absl::OkStatus();
}

int64_t AnswerBytes(const OutcomeSize& size, const Batch& batch) {
  // Key and value: "<stage>_loss_scale_4_term_255_balance_weight".
  const int64_t log = 64 + static_cast<int64_t>(batch.stage.size());
  constexpr int64_t kLogsOfTerm = 6;
  constexpr int64_t kTerm = 256;   // The numbers and words of a TermResult.
  constexpr int64_t kRest = 1024;  // Id, seed, timings and the logs of scales and total.
  return size.gradient_bytes + size.name_bytes + size.gradients * kTensorOverheadBytes +
         size.terms * (kTerm + kLogsOfTerm * log) + 8 * log + kRest;
}

absl::Status CheckAnswerFits(const OutcomeSize& size, const Batch& batch, const ByteLimit& limit) {
  const int64_t bytes = AnswerBytes(size, batch);
  if (bytes <= limit.bytes) return absl::OkStatus();
  const auto [field, advice] =
      batch.per_term_gradients  ? std::pair("per_term_gradients", "ask for fewer terms' gradients")
      : batch.float32_gradients ? std::pair("gradient_dtype", "ask for the predictions' own dtype")
                                : std::pair("predictions", "send fewer");
  return FieldError(
      field, absl::StrCat(size.gradients, " gradients, which make an answer of ", bytes, " bytes"),
      absl::StrCat("at most ", limit.bytes, ", ", limit.reason, ": ", advice,
                   ", or fewer voxels at a time"));
}

absl::Status WriteOutcome(const Outcome& outcome, uint64_t seed, v1::ComputeResponse* response,
                          std::vector<at::Tensor>* apart) {
  response->set_total(outcome.total);
  for (const auto& [key, value] : outcome.logs) {
    v1::LogEntry* entry = response->add_logs();
    entry->set_key(key);
    entry->set_value(value);
  }
  for (const TermOutcome& term : outcome.terms) {
    const absl::Status written = WriteTerm(term, response->add_terms(), apart);
    if (!written.ok()) return written;
  }
  const absl::Status written =
      WriteTensors(outcome.gradients, response->mutable_gradients(), apart);
  if (!written.ok()) return written;
  response->mutable_log_vars_gradient()->Assign(outcome.log_vars_gradient.begin(),
                                                outcome.log_vars_gradient.end());
  if (outcome.drew_crop_origin) response->set_malis_crop_seed(seed);
  return absl::OkStatus();
}

}  // namespace lossd
