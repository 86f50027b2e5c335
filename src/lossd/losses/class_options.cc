#include "lossd/losses/class_options.h"

#include "lossd/base/error.h"

namespace lossd {

absl::Status CheckActivation(bool sigmoid, bool softmax) {
  if (!sigmoid || !softmax) return absl::OkStatus();
  return FieldError("softmax", "true together with sigmoid", "at most one of them");
}

}  // namespace lossd
