#include "lossd/compute/memory_need.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <vector>

#include "lossd/losses/loss.h"

namespace lossd {
namespace {

constexpr int64_t kFloat = sizeof(float);

int64_t Bytes(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.numel() * tensor.element_size() : 0;
}

at::ScalarType GradientType(const NamedTensor& prediction, const Batch& batch) {
  return batch.float32_gradients ? at::kFloat : prediction.tensor.scalar_type();
}

void AddGradient(const NamedTensor& prediction, const Batch& batch, OutcomeSize& size) {
  const auto element = static_cast<int64_t>(c10::elementSize(GradientType(prediction, batch)));
  ++size.gradients;
  size.gradient_bytes += prediction.tensor.numel() * element;
  size.name_bytes += static_cast<int64_t>(prediction.name.size());
}

bool HasTwoPredictions(const Evaluation& evaluation) {
  return evaluation.term->spec.call_kind == CallKind::kPredPred;
}

OutcomeSize MeasureOutcome(const Schedule& schedule, const Batch& batch) {
  OutcomeSize size;
  for (const Scale& scale : schedule.scales) {
    size.terms += static_cast<int64_t>(scale.evaluations.size());
    if (!batch.per_term_gradients) continue;
    for (const Evaluation& evaluation : scale.evaluations) {
      AddGradient(batch.predictions[evaluation.pred], batch, size);
      const bool two = HasTwoPredictions(evaluation) && evaluation.pred2 != evaluation.pred;
      if (two) AddGradient(batch.predictions[evaluation.pred2], batch, size);
    }
  }
  if (batch.losses_only) return size;
  for (const NamedTensor& prediction : batch.predictions) AddGradient(prediction, batch, size);
  return size;
}

// What sweeps and blocks of LibTorch expressions take, whatever the loss is.
int64_t BlockBytes(const LossShape& shape) {
  constexpr int64_t kBlockVoxels = 2048;  // Of all channels: some losses look across them.
  constexpr int64_t kExpression = int64_t{8} << 20;
  // Of what an expression is made of, all of it where it is no larger than a block.
  constexpr int64_t kCopies = 64;
  const int64_t of_channels = 4 * shape.channels() * std::min(shape.voxels(), kBlockVoxels);
  const int64_t of_plane = 32 * shape.plane();
  const int64_t of_sums = shape.elements() / 16;
  const int64_t of_expressions =
      std::min(shape.threads * kExpression, kCopies * kFloat * shape.elements());
  return of_expressions + shape.threads * kFloat * (of_channels + of_plane) + of_sums;
}

// Labels and masks as a term sees them: of another type, at another size, multiplied.
int64_t InputBytes(const Evaluation& evaluation, const Batch& batch, const LossShape& shape) {
  const int64_t voxels = shape.samples() * shape.voxels();
  int64_t bytes = 0;
  if (evaluation.term->spec.call_kind == CallKind::kPredTarget) {
    const at::Tensor& pred = batch.predictions[evaluation.pred].tensor;
    const bool same = batch.labels.sizes().slice(2) == pred.sizes().slice(2) &&
                      batch.labels.scalar_type() != at::kDouble;
    if (!same) bytes += 2 * kFloat * voxels * evaluation.target_channels.size();
    // And whether each is known.
    if (batch.label_mask.defined()) bytes += 3 * voxels * evaluation.target_channels.size();
  }
  int64_t mask_channels = 0;
  if (evaluation.mask_channels.has_value()) mask_channels = evaluation.mask_channels->size();
  if (batch.mask.defined()) mask_channels = std::max(mask_channels, batch.mask.size(1));
  return bytes + (3 * kFloat + 2) * voxels * mask_channels;
}

LossShape ShapeOf(const Evaluation& evaluation, const Batch& batch, bool in_place, int threads) {
  const at::Tensor& pred = batch.predictions[evaluation.pred].tensor;
  LossShape shape = {.pred = pred.sizes().vec(),
                     .masked = batch.mask.defined() || batch.label_mask.defined() ||
                               evaluation.mask_channels.has_value(),
                     .in_place = in_place,
                     .threads = threads};
  shape.pred[1] = evaluation.pred_channels.size();
  return shape;
}

}  // namespace

MemoryNeed MeasureMemory(const Schedule& schedule, const Batch& batch, int threads) {
  MemoryNeed need = {.outcome = MeasureOutcome(schedule, batch)};
  for (const at::Tensor* tensor : {&batch.labels, &batch.mask, &batch.label_mask, &batch.gt_seg}) {
    need.input_bytes += Bytes(*tensor);
  }
  int64_t sums = 0;  // Of half-precision predictions whose terms share channels.
  for (const NamedTensor& prediction : batch.predictions) {
    need.input_bytes += Bytes(prediction.tensor);
    const bool half = GradientType(prediction, batch) != at::kFloat;
    if (half && !batch.losses_only) sums += kFloat * prediction.tensor.numel();
  }
  // Terms are computed one after another.
  int64_t of_terms = 0;
  for (const Scale& scale : schedule.scales) {
    for (const Evaluation& evaluation : scale.evaluations) {
      const bool in_place = GradientType(batch.predictions[evaluation.pred], batch) == at::kFloat &&
                            scale.evaluations.size() == 1;
      const LossShape shape = ShapeOf(evaluation, batch, in_place, threads);
      int64_t of_term = BlockBytes(shape) + InputBytes(evaluation, batch, shape) +
                        evaluation.term->loss->ScratchBytes(shape);
      // Gradients that are computed apart, see Computation.
      const bool apart = batch.per_term_gradients || HasTwoPredictions(evaluation);
      if (apart) of_term += 4 * kFloat * batch.predictions[evaluation.pred].tensor.numel();
      if (HasTwoPredictions(evaluation)) {
        of_term += 2 * kFloat * batch.predictions[evaluation.pred2].tensor.numel();
      }
      of_terms = std::max(of_terms, of_term);
      need.gpu_scratch_bytes =
          std::max(need.gpu_scratch_bytes, evaluation.term->loss->GpuScratchBytes(shape));
    }
  }
  need.scratch_bytes = sums + of_terms;
  return need;
}

}  // namespace lossd
