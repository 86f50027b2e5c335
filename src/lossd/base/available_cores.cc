#include "lossd/base/available_cores.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace lossd {
namespace {

using Path = std::filesystem::path;

// Empty where there is none.
std::string FirstWord(const Path& file) {
  std::string word;
  std::ifstream(file) >> word;
  return word;
}

// CPU time a period, in cores; nothing when it is not bounded.
std::optional<double> Share(absl::string_view quota, absl::string_view period) {
  double time = 0;
  double of = 0;
  if (!absl::SimpleAtod(quota, &time) || !absl::SimpleAtod(period, &of)) return std::nullopt;
  if (!(time > 0) || !(of > 0)) return std::nullopt;  // Version 1 says −1 for no bound.
  return time / of;
}

std::optional<double> ShareOfVersion2(const Path& group) {
  std::string quota;
  std::string period;
  std::ifstream(group / "cpu.max") >> quota >> period;
  return Share(quota, period);
}

std::optional<double> ShareOfVersion1(const Path& group) {
  return Share(FirstWord(group / "cpu.cfs_quota_us"), FirstWord(group / "cpu.cfs_period_us"));
}

// The least share of a group and those above it, below `mount`. Inside a container the group's path
// may be the machine's, of which only the end of it, or nothing, is mounted.
template <typename ShareOf>
void Lower(const Path& mount, const Path& group, const ShareOf& share_of,
           std::optional<double>& least) {
  for (Path path = group.relative_path();; path = path.parent_path()) {
    const std::optional<double> share = share_of(mount / path);
    if (share.has_value()) least = std::min(*share, least.value_or(*share));
    if (path.empty()) return;
  }
}

int AffinityCores() {
  cpu_set_t cores;
  // Fails on machines of more cores than the set holds.
  if (sched_getaffinity(0, sizeof(cores), &cores) == 0) return CPU_COUNT(&cores);
  return static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

std::optional<int> CgroupCores(const Path& root) {
  const Path mounts = root / "sys/fs/cgroup";
  std::optional<double> least;
  std::ifstream groups(root / "proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    // "0::/path" in version 2, "4:cpu,cpuacct:/path" in version 1.
    const std::vector<std::string> fields = absl::StrSplit(line, absl::MaxSplits(':', 2));
    if (fields.size() != 3) continue;
    const std::vector<std::string> controllers = absl::StrSplit(fields[1], ',');
    if (fields[1].empty()) {
      Lower(mounts, fields[2], ShareOfVersion2, least);
    } else if (std::find(controllers.begin(), controllers.end(), "cpu") != controllers.end()) {
      Lower(mounts / "cpu", fields[2], ShareOfVersion1, least);
    }
  }
  if (!least.has_value()) return std::nullopt;
  return std::max(1, static_cast<int>(std::ceil(std::min(*least, 1e6))));
}

int AvailableCores() {
  const int cores = std::max(1, AffinityCores());
  return std::min(cores, CgroupCores().value_or(cores));
}

}  // namespace lossd
