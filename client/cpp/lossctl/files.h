#ifndef LOSSCTL_FILES_H_
#define LOSSCTL_FILES_H_

#include <string>

#include "absl/status/statusor.h"

namespace lossd {

// The text of a file. Errors name the file.
absl::StatusOr<std::string> ReadText(const std::string& path);

}  // namespace lossd

#endif  // LOSSCTL_FILES_H_
