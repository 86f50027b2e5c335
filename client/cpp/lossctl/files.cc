#include "lossctl/files.h"

#include <cerrno>
#include <fstream>
#include <iterator>

#include "absl/status/status.h"

namespace lossd {

absl::StatusOr<std::string> ReadText(const std::string& path) {
  std::ifstream file(path);
  if (!file) return absl::ErrnoToStatus(errno, path);
  std::string text{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  if (file.bad()) return absl::DataLossError(path + ": cannot be read to its end");
  return text;
}

}  // namespace lossd
