#ifndef LOSSD_LOSSES_LOSS_CONFIG_H_
#define LOSSD_LOSSES_LOSS_CONFIG_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "lossd/losses/option.h"
#include "lossd/losses/traits.h"

namespace lossd {

class Loss;

// A loss with its options, as a plan has it: any of the structs in list.h. A value.
class LossConfig {
 public:
  // What is asked of such a struct; configured.h implements it for each of them.
  class Interface {
   public:
    virtual ~Interface() = default;
    virtual std::unique_ptr<Interface> Clone() const = 0;
    virtual const LossTraits& traits() const = 0;
    virtual OptionList Options() = 0;
    virtual std::optional<OptionProblem> CheckTogether() const = 0;
    virtual std::optional<double> OwnPosWeight() const = 0;
    virtual std::optional<int64_t> Channels() const = 0;
    virtual std::optional<std::array<int64_t, 3>> CropSize() const = 0;
    virtual std::shared_ptr<const Loss> Make() const = 0;
  };

  explicit LossConfig(std::unique_ptr<Interface> of) : of_(std::move(of)) {}
  LossConfig(const LossConfig& other) : of_(other.of_->Clone()) {}
  LossConfig(LossConfig&& other) = default;
  LossConfig& operator=(LossConfig other) {
    of_ = std::move(other.of_);
    return *this;
  }
  ~LossConfig() = default;

  const LossTraits& traits() const { return of_->traits(); }

  // Its options, to be read or written as long as this lives.
  OptionList Options() { return of_->Options(); }
  // Their values, in the same order.
  std::vector<OptionValue> Values() const;

  // What is wrong with the options: FieldErrors about them ("beta"). Empty: Make may be called.
  std::vector<absl::Status> Check() const;

  // The loss, ready to compute.
  std::shared_ptr<const Loss> Make() const { return of_->Make(); }

  // Its own weight of positives, where it has one (PosWeightUse).
  std::optional<double> OwnPosWeight() const { return of_->OwnPosWeight(); }
  // How many channels prediction and target must have, where that is fixed: one an offset.
  std::optional<int64_t> Channels() const { return of_->Channels(); }
  // Size of the crop it looks at; nothing when it looks at all of a volume.
  std::optional<std::array<int64_t, 3>> CropSize() const { return of_->CropSize(); }

  // Whether they are the same loss with the same options.
  friend bool operator==(const LossConfig& a, const LossConfig& b) {
    return &a.traits() == &b.traits() && a.Values() == b.Values();
  }

 private:
  std::unique_ptr<Interface> of_;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_LOSS_CONFIG_H_
