#include "lossd/secret_file.h"

#include <fstream>
#include <iterator>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"

namespace lossd {

absl::StatusOr<std::string> ReadSecretFile(absl::string_view field, const std::string& path) {
  if (path.empty()) return "";
  std::ifstream file(path, std::ios::binary);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (text.empty()) {
    return FieldError(field, absl::StrCat("'", path, "'"), "a file that can be read");
  }
  return text;
}

}  // namespace lossd
