#include "lossd/base/read_file.h"

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <system_error>

#include "absl/status/status.h"

namespace lossd {

absl::StatusOr<std::string> ReadFile(const std::string& path) {
  // A folder can be opened, and fails when it is read.
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) {
    return absl::InvalidArgumentError(path + ": is a folder, expected a file");
  }
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::ErrnoToStatus(errno, path);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) return absl::DataLossError(path + ": cannot be read to its end");
  return text;
}

}  // namespace lossd
