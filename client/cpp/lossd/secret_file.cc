#include "lossd/secret_file.h"

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/base/read_file.h"

namespace lossd {

absl::StatusOr<std::string> ReadSecretFile(absl::string_view field, const std::string& path) {
  if (path.empty()) return "";
  absl::StatusOr<std::string> text = ReadFile(path);
  if (!text.ok() || text->empty()) {
    return FieldError(field, absl::StrCat("'", path, "'"), "a file that can be read");
  }
  return text;
}

}  // namespace lossd
