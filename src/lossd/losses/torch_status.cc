#include "lossd/losses/torch_status.h"

#include <c10/util/Exception.h>

#include <new>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace lossd {

absl::Status TorchErrorStatus(const std::exception& error) {
  const auto* torch_error = dynamic_cast<const c10::Error*>(&error);
  const std::string message =
      torch_error != nullptr ? torch_error->what_without_backtrace() : error.what();
  // LibTorch's allocator on the CPU throws a plain c10::Error, and says so only in words.
  const bool out_of_memory = dynamic_cast<const std::bad_alloc*>(&error) != nullptr ||
                             dynamic_cast<const c10::OutOfMemoryError*>(&error) != nullptr ||
                             absl::StrContains(message, "can't allocate memory") ||
                             absl::StrContains(message, "not enough memory");
  if (out_of_memory) {
    return absl::ResourceExhaustedError(
        absl::StrCat("not enough memory for this request: ", message));
  }
  return absl::InternalError(
      absl::StrCat(torch_error != nullptr ? "LibTorch: " : "unexpected: ", message));
}

}  // namespace lossd
