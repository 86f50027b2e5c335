#include "lossd/compute/outcome_size.h"

#include <ATen/ATen.h>

namespace lossd {
namespace {

void AddGradient(const NamedTensor& prediction, const Batch& batch, OutcomeSize& size) {
  const at::ScalarType dtype =
      batch.float32_gradients ? at::kFloat : prediction.tensor.scalar_type();
  ++size.gradients;
  size.gradient_bytes += prediction.tensor.numel() * static_cast<int64_t>(c10::elementSize(dtype));
  size.name_bytes += static_cast<int64_t>(prediction.name.size());
}

}  // namespace

OutcomeSize MeasureOutcome(const Schedule& schedule, const Batch& batch) {
  OutcomeSize size;
  for (const Scale& scale : schedule.scales) {
    size.terms += static_cast<int64_t>(scale.evaluations.size());
    if (!batch.per_term_gradients) continue;
    for (const Evaluation& evaluation : scale.evaluations) {
      AddGradient(batch.predictions[evaluation.pred], batch, size);
      const bool two = evaluation.term->spec.call_kind == CallKind::kPredPred &&
                       evaluation.pred2 != evaluation.pred;
      if (two) AddGradient(batch.predictions[evaluation.pred2], batch, size);
    }
  }
  if (batch.losses_only) return size;
  for (const NamedTensor& prediction : batch.predictions) AddGradient(prediction, batch, size);
  return size;
}

}  // namespace lossd
