#include "lossd/losses/loss_config.h"

#include <utility>

#include "lossd/base/error.h"

namespace lossd {

std::vector<OptionValue> LossConfig::Values() const {
  LossConfig copy = *this;
  std::vector<OptionValue> values;
  for (const Option& option : copy.Options()) values.push_back(ValueOf(option));
  return values;
}

std::vector<absl::Status> LossConfig::Check() const {
  LossConfig copy = *this;
  std::vector<OptionProblem> problems = CheckRanges(copy.Options());
  if (problems.empty()) {
    if (auto together = of_->CheckTogether()) problems.push_back(*std::move(together));
  }
  std::vector<absl::Status> errors;
  for (const OptionProblem& problem : problems) {
    errors.push_back(FieldError(problem.option, problem.given, problem.expected));
  }
  return errors;
}

}  // namespace lossd
