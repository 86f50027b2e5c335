#include "lossd/process.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace lossd {

absl::Status Process::Check(absl::string_view what) const {
  if (IsThis()) return absl::OkStatus();
  return absl::FailedPreconditionError(absl::StrCat(
      what,
      " is of the process that forked this one, and of no use here: a process that is to "
      "have a client of its own must be forked before its parent connects, or call exec"));
}

void Process::Keep(std::shared_ptr<const void> of_parent) {
  // Never destroyed. A process that was just forked has one thread.
  static auto& kept = *new std::vector<std::shared_ptr<const void>>;
  kept.push_back(std::move(of_parent));
}

}  // namespace lossd
