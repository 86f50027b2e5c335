#ifndef LOSSD_LOSSES_AUTOGRAD_LOSS_H_
#define LOSSD_LOSSES_AUTOGRAD_LOSS_H_

#include <ATen/ATen.h>

#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lossd/losses/loss.h"

namespace lossd {

// The default way to write a loss: as a LibTorch expression, whose gradient autograd derives. Works
// on every device and, for gradient checks, in float64.
class AutogradLoss : public Loss {
 public:
  absl::StatusOr<LossResult> Compute(const LossInputs& inputs, const Context& context) const final;

  // That of masks which are applied in advance.
  int64_t ScratchBytes(const LossShape& shape) const override;

  // The expression itself, with its graph: what the quicker form is measured against. Predictions
  // may require a gradient; nothing of the inputs is checked or applied.
  absl::StatusOr<at::Tensor> Expression(const LossInputs& inputs) const { return Forward(inputs); }

 protected:
  // Checks that Forward can run on these inputs.
  virtual absl::Status Check(const LossInputs& inputs) const = 0;

  // The loss. pred and pred2 are float32 or float64 and what the gradient is with respect to; the
  // other inputs are as they came. May throw what LibTorch throws.
  virtual absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const = 0;

  // The same in a form that is quicker and takes less memory, from inputs that passed Check, are on
  // the CPU, and whose predictions are no wider than float32; nothing where there is no such form.
  virtual std::optional<absl::StatusOr<LossResult>> ComputeFused(const LossInputs& /*inputs*/,
                                                                 const Context& /*context*/) const {
    return std::nullopt;
  }

  // The same on a GPU, where masks have been applied in advance.
  virtual std::optional<absl::StatusOr<LossResult>> ComputeOnGpu(const LossInputs& /*inputs*/,
                                                                 const Context& /*context*/) const {
    return std::nullopt;
  }

  // Whether the fused form takes the masks, `known` and class_weights, into account by itself.
  virtual bool FusesMasks() const { return false; }

 private:
  absl::StatusOr<LossResult> ComputeApplied(const LossInputs& inputs, const Context& context) const;
};

// The same inputs with predictions that are leaves of a new graph, at least float32 and clamped.
LossInputs Leaves(const LossInputs& inputs);

// With respect to each prediction.
struct Gradients {
  at::Tensor pred;
  at::Tensor pred2;  // Undefined where there is none.
};

// d Σ factors × values / d each prediction of `leaves`; zeros where the values do not depend on it.
Gradients Differentiate(const at::Tensor& values, const at::Tensor& factors,
                        const LossInputs& leaves);

}  // namespace lossd

#endif  // LOSSD_LOSSES_AUTOGRAD_LOSS_H_
