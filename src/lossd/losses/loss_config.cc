#include "lossd/losses/loss_config.h"

namespace lossd {

std::vector<OptionValue> LossConfig::Values() const {
  LossConfig copy = *this;
  std::vector<OptionValue> values;
  for (const Option& option : copy.Options()) values.push_back(ValueOf(option));
  return values;
}

std::vector<absl::Status> LossConfig::Check() const {
  LossConfig copy = *this;
  std::vector<absl::Status> found = CheckRanges(copy.Options());
  if (!found.empty()) return found;
  if (absl::Status together = of_->CheckTogether(); !together.ok()) found.push_back(together);
  return found;
}

}  // namespace lossd
