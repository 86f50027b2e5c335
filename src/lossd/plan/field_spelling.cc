#include "lossd/plan/field_spelling.h"

#include <cstddef>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"

namespace lossd {

absl::Status InSpelling(const FieldSpelling& spelling, const absl::Status& status) {
  const std::optional<std::string> field = ErrorField(status);
  if (!field.has_value()) return status;
  // The field itself, or the nearest one above it that has a name of its own.
  for (size_t end = field->size(); end != std::string::npos && end > 0;
       end = field->find_last_of(".[", end - 1)) {
    const auto written = spelling.find(field->substr(0, end));
    if (written == spelling.end()) continue;
    return AboutField(absl::StrCat(written->second, field->substr(end)), status);
  }
  return status;
}

}  // namespace lossd
