#include "lossd/compute/compute_loss.h"

#include <ATen/ATen.h>

#include "lossd/sweep/gradient_writer.h"

namespace lossd {
namespace {

at::Tensor OnHost(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.to(at::kCPU) : tensor;
}

// A place on the host for what is to be copied to `into`.
GradientInto PlaceOnHost(const GradientInto& into) {
  if (!into.wanted()) return {};
  return {.into = at::empty(into.into.sizes(), at::kFloat), .factor = into.factor};
}

absl::StatusOr<LossResult> ComputeOnHost(const Loss& loss, const LossInputs& inputs,
                                         const Context& context) {
  LossInputs host = inputs;
  for (at::Tensor* tensor :
       {&host.pred, &host.pred2, &host.target, &host.weight, &host.known, &host.gt_seg}) {
    *tensor = OnHost(*tensor);
  }
  host.gradient = PlaceOnHost(inputs.gradient);
  host.gradient2 = PlaceOnHost(inputs.gradient2);
  absl::StatusOr<LossResult> result = loss.Compute(host, context.OnHost());
  if (!result.ok()) return result;
  const auto write = [&](const GradientInto& from, const GradientInto& to) {
    if (!to.wanted()) return true;
    return WriteGradient(from.into, {.into = to.into, .factor = 1, .add = to.add}, context);
  };
  const bool fits = write(host.gradient, inputs.gradient);
  result->finite = write(host.gradient2, inputs.gradient2) && fits && result->finite;
  return result;
}

}  // namespace

absl::StatusOr<LossResult> ComputeLoss(const Loss& loss, const LossInputs& inputs,
                                       const Context& context) {
  const bool there = !context.on_gpu() || loss.ComputesOnGpu();
  return there ? loss.Compute(inputs, context) : ComputeOnHost(loss, inputs, context);
}

}  // namespace lossd
