#ifndef LOSSD_BASE_CGROUP_H_
#define LOSSD_BASE_CGROUP_H_

#include <filesystem>
#include <optional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"

namespace lossd {

// What a group's folder says of a bound; nothing where there is none.
using BoundOfCgroup = absl::FunctionRef<std::optional<double>(const std::filesystem::path& group)>;

// The least bound of the process's cgroups and those above them, whose folders are read by the
// function for their version; `controller` is its name in version 1 ("cpu"). `root` is where the
// files of the system lie.
std::optional<double> LeastBoundOfCgroups(const std::filesystem::path& root,
                                          absl::string_view controller, BoundOfCgroup of_version1,
                                          BoundOfCgroup of_version2);

// The first word of a file; empty where there is none.
std::string FirstWord(const std::filesystem::path& file);

}  // namespace lossd

#endif  // LOSSD_BASE_CGROUP_H_
