#ifndef LOSSD_LOSSES_GAN_H_
#define LOSSD_LOSSES_GAN_H_

#include <memory>

#include "lossd/losses/option.h"
#include "lossd/losses/traits.h"

namespace lossd {

class Loss;

// The adversarial objective: squared error to the label, BCE with logits to the label, or the
// Wasserstein critic's −mean for real and mean for fake.
enum class GanMode { kLsgan, kVanilla, kWgangp };
template <>
inline constexpr absl::string_view kWords<GanMode>[] = {"lsgan", "vanilla", "wgangp"};

// Of a prediction of any shape and LossInputs.target, one element: whether the prediction is of a
// real sample. Not for plans.
struct GAN {
  static constexpr LossTraits kTraits = {
      .name = "GANLoss",
      .summary = "Adversarial loss of a discriminator's prediction.",
      .source =
          "Isola et al., Image-to-Image Translation with Conditional Adversarial Networks, CVPR "
          "2017",
      .definition = "squared error or BCE to the label, or ∓mean; refused in plans",
      .target_kind = TargetKind::kNone,
      .usable_in_plan = false};

  GanMode gan_mode = GanMode::kLsgan;
  double target_real_label = 1;
  double target_fake_label = 0;

  OptionList Options() {
    return {{"gan_mode", &gan_mode, "The objective."},
            {"target_real_label", &target_real_label, "Label of real samples."},
            {"target_fake_label", &target_fake_label, "Label of fake samples."}};
  }
  std::unique_ptr<const Loss> Make() const;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_GAN_H_
