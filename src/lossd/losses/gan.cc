#include "lossd/losses/gan.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/configured.h"
#include "lossd/losses/pointwise/bce_with_logits.h"
#include "lossd/losses/pointwise/mse.h"
#include "lossd/losses/torch_status.h"
#include "lossd/sweep/gradient_writer.h"

namespace lossd {
namespace {

// A voxel-wise loss of a prediction of any shape and a label that is the same everywhere.
absl::StatusOr<LossResult> ToLabel(const Loss& loss, double label, const LossInputs& inputs,
                                   const Context& context) {
  LossInputs flat = {.pred = inputs.pred.reshape({1, 1, 1, -1}), .gradient = inputs.gradient};
  if (flat.gradient.wanted()) flat.gradient.into = flat.gradient.into.view({1, 1, 1, -1});
  flat.target = at::full({}, label, flat.pred.options().dtype(at::kDouble)).expand_as(flat.pred);
  return loss.Compute(flat, context);
}

// The loss of a prediction and a label; none for that of wgangp, which has no label.
std::shared_ptr<const Loss> ToLabelLoss(GanMode mode) {
  switch (mode) {
    case GanMode::kLsgan:
      return Configured(MSE()).Make();
    case GanMode::kVanilla:
      return BCEWithLogits().Make();
    case GanMode::kWgangp:
      return nullptr;
  }
  return nullptr;
}

// Mean of the prediction × sign.
LossResult Mean(double sign, const LossInputs& inputs, const Context& context) {
  const at::ScalarType type = inputs.pred.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  LossResult result = {.value = sign * inputs.pred.mean(type)};
  if (!inputs.gradient.wanted()) return result;
  const double slope = sign / static_cast<double>(inputs.pred.numel());
  const at::Tensor everywhere = at::full({}, slope, inputs.pred.options().dtype(type));
  result.finite = WriteGradient(everywhere.expand_as(inputs.pred), inputs.gradient, context);
  return result;
}

class GanLoss : public Loss {
 public:
  explicit GanLoss(const GAN& options)
      : to_label_(ToLabelLoss(options.gan_mode)),
        real_label_(options.target_real_label),
        fake_label_(options.target_fake_label) {}

  absl::StatusOr<LossResult> Compute(const LossInputs& inputs,
                                     const Context& context) const override {
    return CatchTorchErrors([&]() -> absl::StatusOr<LossResult> {
      if (absl::Status status = Check(inputs); !status.ok()) return status;
      const at::NoGradGuard no_grad;
      const bool real = inputs.target.item<double>() != 0;
      if (to_label_ == nullptr) return Mean(real ? -1 : 1, inputs, context);
      return ToLabel(*to_label_, real ? real_label_ : fake_label_, inputs, context);
    });
  }

 private:
  static absl::Status Check(const LossInputs& inputs) {
    if (!inputs.pred.defined() || !inputs.pred.is_floating_point() || inputs.pred.numel() == 0) {
      return FieldError("pred", "no floating-point tensor with elements", "one");
    }
    if (!inputs.target.defined() || inputs.target.numel() != 1) {
      return FieldError(
          "target",
          inputs.target.defined() ? absl::StrCat("shape ", ShapeText(inputs.target)) : "nothing",
          "one element, whether the prediction is of a real sample");
    }
    return absl::OkStatus();
  }

  const std::shared_ptr<const Loss> to_label_;
  const double real_label_;
  const double fake_label_;
};

}  // namespace

std::unique_ptr<const Loss> GAN::Make() const { return std::make_unique<GanLoss>(*this); }

}  // namespace lossd
