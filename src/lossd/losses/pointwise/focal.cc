#include "lossd/losses/pointwise/focal.h"

#include <utility>
#include <vector>

#include "lossd/losses/checks.h"
#include "lossd/losses/pointwise/map_loss.h"
#include "lossd/sweep/class_channels.h"

namespace lossd {
namespace {

// −(1 − p)^γ·log(p)·t of exclusive classes; with alpha × 1 − α for the first class and α for the
// others.
at::Tensor SoftmaxFocalMap(const ClassChannels& x, double gamma, const double* alpha) {
  const at::Tensor log_probability = x.pred.log_softmax(1);
  const at::Tensor map = -(1 - log_probability.exp()).pow(gamma) * log_probability * x.target;
  if (alpha == nullptr) return map;
  std::vector<int64_t> shape(map.dim(), 1);
  shape[1] = map.size(1);
  at::Tensor factor = at::full(shape, *alpha, map.options());
  factor.select(1, 0).fill_(1 - *alpha);
  return map * factor;
}

// BCE × (1 − probability of the target)^γ; with alpha × α where the target is 1 and 1 − α where it
// is 0.
at::Tensor SigmoidFocalMap(const ClassChannels& x, double gamma, const double* alpha) {
  const at::Tensor bce = x.pred - x.pred * x.target - at::log_sigmoid(x.pred);
  const at::Tensor log_miss = at::log_sigmoid(-x.pred * (x.target * 2 - 1));
  const at::Tensor map = (log_miss * gamma).exp() * bce;
  if (alpha == nullptr) return map;
  return map * (x.target * *alpha + (1 - x.target) * (1 - *alpha));
}

class FocalLoss : public MapLoss {
 public:
  explicit FocalLoss(Focal options) : MapLoss(options.reduction), options_(std::move(options)) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = CheckClassChannels(inputs, options_.to_onehot_y); !status.ok()) {
      return status;
    }
    return CheckClassWeight(options_.weight,
                            CountedChannels(inputs.pred.size(1), options_.include_background));
  }

  absl::StatusOr<at::Tensor> Map(const LossInputs& inputs) const override {
    absl::StatusOr<ClassChannels> channels = PrepareClassChannels(
        inputs,
        {.include_background = options_.include_background, .to_onehot_y = options_.to_onehot_y});
    if (!channels.ok()) return channels.status();
    channels->target = channels->target.to(channels->pred.scalar_type());
    // Without the background there is no first class to treat differently.
    const double* alpha = options_.alpha.has_value() ? &*options_.alpha : nullptr;
    if (options_.use_softmax && !options_.include_background) alpha = nullptr;
    const at::Tensor map = options_.use_softmax ? SoftmaxFocalMap(*channels, options_.gamma, alpha)
                                                : SigmoidFocalMap(*channels, options_.gamma, alpha);
    return TimesClassWeight(map, options_.weight, /*channel_dim=*/1);
  }

  double Factor(const LossInputs& inputs, const Context& /*context*/) const override {
    const int64_t samples = inputs.pred.size(0);
    const int64_t channels = inputs.pred.size(1);
    const int64_t means = samples * CountedChannels(channels, options_.include_background);
    const int64_t volume = inputs.pred.numel() / (samples * channels);
    const auto voxels = static_cast<double>(volume);
    // A sum is one of the means of samples and channels.
    return reduction() == Reduction::kSum ? 1 / voxels : 1 / (voxels * static_cast<double>(means));
  }

 private:
  const Focal options_;
};

}  // namespace

std::unique_ptr<const Loss> Focal::Make() const { return std::make_unique<FocalLoss>(*this); }

}  // namespace lossd
