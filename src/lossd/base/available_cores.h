#ifndef LOSSD_BASE_AVAILABLE_CORES_H_
#define LOSSD_BASE_AVAILABLE_CORES_H_

#include <filesystem>
#include <optional>

namespace lossd {

// How many cores this process may use, at least 1: those of its affinity, or fewer where a cgroup
// bounds its CPU time. A container sees all cores of its machine and may use a few.
int AvailableCores();

// The bound of the process's cgroups (version 1 or 2) and those above them on CPU time, in cores,
// rounded up; nothing without one. `root` is where the files of the system lie.
std::optional<int> CgroupCores(const std::filesystem::path& root = "/");

}  // namespace lossd

#endif  // LOSSD_BASE_AVAILABLE_CORES_H_
