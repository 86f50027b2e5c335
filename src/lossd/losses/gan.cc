#include "lossd/losses/gan.h"

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/checks.h"

namespace lossd {
namespace {

class GanLoss : public AutogradLoss {
 public:
  explicit GanLoss(const v1::GANLossOptions& options)
      : mode_(options.gan_mode()),
        real_label_(options.target_real_label()),
        fake_label_(options.target_fake_label()) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
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

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    const bool real = inputs.target.item<double>() != 0;
    const at::Tensor& pred = inputs.pred;
    if (mode_ == v1::GAN_MODE_WGANGP) return real ? -pred.mean() : pred.mean();
    const at::Tensor label = at::full_like(pred, real ? real_label_ : fake_label_);
    return mode_ == v1::GAN_MODE_LSGAN ? at::mse_loss(pred, label)
                                       : at::binary_cross_entropy_with_logits(pred, label);
  }

 private:
  const v1::GanMode mode_;
  const double real_label_;
  const double fake_label_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Loss>> CreateGANLoss(const v1::LossOptions& options) {
  const auto& own = options.gan();
  if (own.gan_mode() == v1::GAN_MODE_UNSPECIFIED) {
    return FieldError("gan_mode", "nothing", "lsgan, vanilla or wgangp");
  }
  if (absl::Status status = FirstError({CheckFinite("target_real_label", own.target_real_label()),
                                        CheckFinite("target_fake_label", own.target_fake_label())});
      !status.ok()) {
    return status;
  }
  return std::make_unique<GanLoss>(own);
}

}  // namespace lossd
