#include "lossd/losses/autograd_loss.h"

#include <torch/autograd.h>

#include <vector>

#include "lossd/losses/torch_status.h"

namespace lossd {
namespace {

// A leaf of a new graph over the same elements, at least float32.
at::Tensor Leaf(const at::Tensor& prediction, bool want_gradient) {
  if (!prediction.defined()) return prediction;
  const bool wide = prediction.scalar_type() == at::kDouble;
  return prediction.detach().to(wide ? at::kDouble : at::kFloat).requires_grad_(want_gradient);
}

// d sum(value) / d each leaf; zeros where the value does not depend on it.
void Differentiate(const at::Tensor& value, const LossInputs& leaves, ValueAndGradient& result) {
  std::vector<at::Tensor> inputs = {leaves.pred};
  if (leaves.pred2.defined()) inputs.push_back(leaves.pred2);
  std::vector<at::Tensor> gradients(inputs.size());
  if (value.requires_grad()) {
    gradients = torch::autograd::grad({value.sum()}, inputs, /*grad_outputs=*/{},
                                      /*retain_graph=*/false, /*create_graph=*/false,
                                      /*allow_unused=*/true);
  }
  for (size_t i = 0; i < inputs.size(); ++i) {
    if (!gradients[i].defined()) gradients[i] = at::zeros_like(inputs[i].detach());
  }
  result.gradient = gradients[0];
  if (leaves.pred2.defined()) result.gradient2 = gradients[1];
}

}  // namespace

absl::StatusOr<ValueAndGradient> AutogradLoss::Compute(const LossInputs& inputs,
                                                       TaskPool& /*pool*/) const {
  return CatchTorchErrors([&]() -> absl::StatusOr<ValueAndGradient> {
    if (absl::Status status = Check(inputs); !status.ok()) return status;
    const c10::InferenceMode no_inference_mode(false);
    const c10::AutoGradMode grad_mode(inputs.want_gradient);
    LossInputs leaves = inputs;
    leaves.pred = Leaf(inputs.pred, inputs.want_gradient);
    leaves.pred2 = Leaf(inputs.pred2, inputs.want_gradient);
    const absl::StatusOr<at::Tensor> value = Forward(leaves);
    if (!value.ok()) return value.status();
    ValueAndGradient result{.value = value->detach()};
    if (inputs.want_gradient) Differentiate(*value, leaves, result);
    return result;
  });
}

}  // namespace lossd
