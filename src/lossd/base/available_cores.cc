#include "lossd/base/available_cores.h"

#include <sched.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <string>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "lossd/base/cgroup.h"

namespace lossd {
namespace {

using Path = std::filesystem::path;

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

int AffinityCores() {
  cpu_set_t cores;
  // Fails on machines of more cores than the set holds.
  if (sched_getaffinity(0, sizeof(cores), &cores) == 0) return CPU_COUNT(&cores);
  return static_cast<int>(std::thread::hardware_concurrency());
}

}  // namespace

std::optional<int> CgroupCores(const Path& root) {
  const std::optional<double> least =
      LeastBoundOfCgroups(root, "cpu", ShareOfVersion1, ShareOfVersion2);
  if (!least.has_value()) return std::nullopt;
  return std::max(1, static_cast<int>(std::ceil(std::min(*least, 1e6))));
}

int AvailableCores() {
  const int cores = std::max(1, AffinityCores());
  return std::min(cores, CgroupCores().value_or(cores));
}

}  // namespace lossd
