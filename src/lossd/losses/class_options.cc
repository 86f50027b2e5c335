#include "lossd/losses/class_options.h"

namespace lossd {

std::optional<OptionProblem> CheckActivation(bool sigmoid, bool softmax) {
  if (!sigmoid || !softmax) return std::nullopt;
  return OptionProblem{.option = "softmax",
                       .given = "true together with sigmoid",
                       .expected = "at most one of them"};
}

}  // namespace lossd
