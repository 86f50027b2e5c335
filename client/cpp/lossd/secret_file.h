#ifndef LOSSD_SECRET_FILE_H_
#define LOSSD_SECRET_FILE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lossd {

// All of a file that holds a token, a key or a certificate, which `field` of ClientOptions names; a
// FieldError about it when it cannot be read or is empty. An empty path is an empty text.
absl::StatusOr<std::string> ReadSecretFile(absl::string_view field, const std::string& path);

}  // namespace lossd

#endif  // LOSSD_SECRET_FILE_H_
