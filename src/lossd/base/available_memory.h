#ifndef LOSSD_BASE_AVAILABLE_MEMORY_H_
#define LOSSD_BASE_AVAILABLE_MEMORY_H_

#include <cstdint>
#include <filesystem>
#include <optional>

namespace lossd {

// How many bytes this process may take, those included that it has: the machine's memory, or less
// where a cgroup bounds it, or where its address space may grow by less.
int64_t AvailableMemory();

// Whether the process's address space is bounded (`ulimit -v`).
bool IsAddressSpaceBounded();

// The bound of the process's cgroups (version 1 or 2) and those above them on memory; nothing
// without one. `root` is where the files of the system lie.
std::optional<int64_t> CgroupMemory(const std::filesystem::path& root = "/");

}  // namespace lossd

#endif  // LOSSD_BASE_AVAILABLE_MEMORY_H_
