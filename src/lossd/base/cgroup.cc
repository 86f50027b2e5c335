#include "lossd/base/cgroup.h"

#include <algorithm>
#include <fstream>
#include <vector>

#include "absl/strings/str_split.h"

namespace lossd {
namespace {

using Path = std::filesystem::path;

// The least bound of a group and those above it, below `mount`. Inside a container the group's path
// may be the machine's, of which only the end of it, or nothing, is mounted.
void Lower(const Path& mount, const Path& group, BoundOfCgroup bound_of,
           std::optional<double>& least) {
  for (Path path = group.relative_path();; path = path.parent_path()) {
    const std::optional<double> bound = bound_of(mount / path);
    if (bound.has_value()) least = std::min(*bound, least.value_or(*bound));
    if (path.empty()) return;
  }
}

}  // namespace

std::string FirstWord(const Path& file) {
  std::string word;
  std::ifstream(file) >> word;
  return word;
}

std::optional<double> LeastBoundOfCgroups(const Path& root, absl::string_view controller,
                                          BoundOfCgroup of_version1, BoundOfCgroup of_version2) {
  const Path mounts = root / "sys/fs/cgroup";
  std::optional<double> least;
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    // "0::/path" in version 2, "4:cpu,cpuacct:/path" in version 1.
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    const std::vector<std::string> controllers = absl::StrSplit(fields[1], ',');
    if (fields[1].empty()) {
      Lower(mounts, fields[2], of_version2, least);
    } else if (std::find(controllers.begin(), controllers.end(), controller) != controllers.end()) {
      Lower(mounts / Path(std::string(controller)), fields[2], of_version1, least);
    }
  }
  return least;
}

}  // namespace lossd
