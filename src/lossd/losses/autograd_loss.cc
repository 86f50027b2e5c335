#include "lossd/losses/autograd_loss.h"

#include <ATen/core/grad_mode.h>
#include <torch/autograd.h>

#include <utility>
#include <vector>

#include "lossd/losses/torch_status.h"
#include "lossd/sweep/gradient_writer.h"
#include "lossd/sweep/input_reader.h"
#include "lossd/sweep/slabs.h"
#include "lossd/sweep/sweep.h"

namespace lossd {
namespace {

at::Tensor Leaf(const at::Tensor& prediction, const LossInputs& inputs) {
  if (!prediction.defined()) return prediction;
  return WidenAndClamp(prediction.detach(), inputs.clamp)
      .detach()
      .requires_grad_(inputs.gradient.wanted());
}

}  // namespace

LossInputs Leaves(const LossInputs& inputs) {
  LossInputs leaves = inputs;
  leaves.pred = Leaf(inputs.pred, inputs);
  leaves.pred2 = Leaf(inputs.pred2, inputs);
  leaves.clamp.reset();
  return leaves;
}

Gradients Differentiate(const at::Tensor& values, const at::Tensor& factors,
                        const LossInputs& leaves) {
  std::vector<at::Tensor> inputs = {leaves.pred};
  if (leaves.pred2.defined()) inputs.push_back(leaves.pred2);
  std::vector<at::Tensor> gradients(inputs.size());
  if (values.requires_grad()) {
    gradients = torch::autograd::grad({values}, inputs, {factors.expand_as(values)},
                                      /*retain_graph=*/false, /*create_graph=*/false,
                                      /*allow_unused=*/true);
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!gradients[i].defined()) gradients[i] = at::zeros_like(inputs[i].detach());
  }
  return {.pred = gradients[0], .pred2 = inputs.size() > 1 ? gradients[1] : at::Tensor()};
}

absl::StatusOr<LossResult> AutogradLoss::Compute(const LossInputs& inputs,
                                                 const Context& context) const {
  return CatchTorchErrors([&]() -> absl::StatusOr<LossResult> {
    if (absl::Status status = Check(inputs); !status.ok()) return status;
    const bool has_masks = HasMasks(inputs);
    if (!context.on_gpu() && CanSweep(inputs) && (!has_masks || FusesMasks())) {
      if (auto fused = ComputeFused(inputs, context); fused.has_value()) return *std::move(fused);
    }
    if (has_masks) return ComputeApplied(inputs, context);
    if (context.on_gpu() && inputs.pred.scalar_type() != at::kDouble) {
      if (auto fused = ComputeOnGpu(inputs, context); fused.has_value()) return *std::move(fused);
    }
    const c10::InferenceMode no_inference_mode(false);
    const c10::AutoGradMode grad_mode(inputs.gradient.wanted());
    const LossInputs leaves = Leaves(inputs);
    const absl::StatusOr<at::Tensor> value = Forward(leaves);
    if (!value.ok()) return value.status();
    LossResult result = {.value = value->detach()};
    if (!inputs.gradient.wanted()) return result;
    const Gradients gradients =
        Differentiate(*value, at::ones({}, value->options().requires_grad(false)), leaves);
    result.finite = WriteGradient(gradients.pred, inputs.gradient, context);
    if (gradients.pred2.defined()) {
      result.finite = WriteGradient(gradients.pred2, inputs.gradient2, context) && result.finite;
    }
    return result;
  });
}

int64_t AutogradLoss::ScratchBytes(const LossShape& shape) const {
  if (!shape.masked || FusesMasks()) return 0;
  // Prediction, target, weight and gradient, each with what it is made of.
  constexpr int64_t kBytes = 4 * 2 * sizeof(float);
  return kBytes * shape.elements();
}

absl::StatusOr<LossResult> AutogradLoss::ComputeApplied(const LossInputs& inputs,
                                                        const Context& context) const {
  LossInputs applied = ApplyMasks(inputs, context);
  if (!inputs.gradient.wanted() || !inputs.blank.has_value()) return Compute(applied, context);
  // Of what is unknown the prediction counts as blank.
  const bool wide = inputs.pred.scalar_type() == at::kDouble;
  const at::Tensor gradient =
      at::empty(inputs.pred.sizes(), inputs.pred.options().dtype(wide ? at::kDouble : at::kFloat));
  applied.gradient = {.into = gradient};
  absl::StatusOr<LossResult> result = Compute(applied, context);
  if (!result.ok()) return result;
  ForEachSlab(gradient.sizes(), context, [&](const Slab& slab) {
    slab.Of(gradient).masked_fill_(slab.Of(inputs.known).logical_not(), 0);
    return absl::OkStatus();
  }).IgnoreError();
  result->finite = WriteGradient(gradient, inputs.gradient, context);
  return result;
}

}  // namespace lossd
