#ifndef LOSSD_LOSSES_CONFIGURED_H_
#define LOSSD_LOSSES_CONFIGURED_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>

#include "lossd/losses/loss.h"
#include "lossd/losses/loss_config.h"
#include "lossd/losses/pointwise/pointwise_loss.h"

namespace lossd {

// What a struct in list.h has, with defaults for what it leaves out:
//   static constexpr LossTraits kTraits;
//   fields that are its options, with their defaults;
//   OptionList Options();              describes them;
//   std::optional<OptionProblem> Check() const;  is something wrong with options together?
//   OwnPosWeight, Channels, CropSize   as LossConfig has them;
//   and what it computes: `std::unique_ptr<const Loss> Make() const`, or, for a loss of one element
//   at a time, `Element() const` (pointwise_loss.h).
template <typename T>
class ConfiguredLoss : public LossConfig::Interface {
 public:
  explicit ConfiguredLoss(T loss) : loss_(std::move(loss)) {}

  std::unique_ptr<Interface> Clone() const override {
    return std::make_unique<ConfiguredLoss>(loss_);
  }
  const LossTraits& traits() const override { return T::kTraits; }
  OptionList Options() override { return loss_.Options(); }
  std::optional<OptionProblem> CheckTogether() const override {
    if constexpr (requires { loss_.Check(); }) return loss_.Check();
    return std::nullopt;
  }
  std::optional<double> OwnPosWeight() const override {
    if constexpr (requires { loss_.OwnPosWeight(); }) return loss_.OwnPosWeight();
    return std::nullopt;
  }
  std::optional<int64_t> Channels() const override {
    if constexpr (requires { loss_.Channels(); }) return loss_.Channels();
    return std::nullopt;
  }
  std::optional<std::array<int64_t, 3>> CropSize() const override {
    if constexpr (requires { loss_.CropSize(); }) return loss_.CropSize();
    return std::nullopt;
  }
  std::shared_ptr<const Loss> Make() const override {
    if constexpr (requires { loss_.Make(); }) {
      return loss_.Make();
    } else {
      return std::make_shared<const PointwiseLossOf<T>>(loss_);
    }
  }

 private:
  T loss_;
};

template <typename T>
LossConfig Configured(T loss) {
  return LossConfig(std::make_unique<ConfiguredLoss<T>>(std::move(loss)));
}

}  // namespace lossd

#endif  // LOSSD_LOSSES_CONFIGURED_H_
