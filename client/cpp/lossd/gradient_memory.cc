#include "lossd/gradient_memory.h"

#include <exception>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace lossd {

absl::StatusOr<at::Tensor> TakeGradientMemory(const Arrivals& arrivals, int64_t bytes) {
  try {
    arrivals.Decay();
    return arrivals.Take(bytes);
  } catch (const std::exception&) {
    return absl::ResourceExhaustedError(
        absl::StrCat("not enough memory for ", bytes, " bytes of gradients"));
  }
}

}  // namespace lossd
