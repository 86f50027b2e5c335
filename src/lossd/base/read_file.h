#ifndef LOSSD_BASE_READ_FILE_H_
#define LOSSD_BASE_READ_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace lossd {

// All of a file, or of a pipe to its end. Errors name it; a folder is one, too.
absl::StatusOr<std::string> ReadFile(const std::string& path);

}  // namespace lossd

#endif  // LOSSD_BASE_READ_FILE_H_
