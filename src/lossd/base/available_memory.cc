#include "lossd/base/available_memory.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <string>

#include "absl/strings/numbers.h"
#include "lossd/base/cgroup.h"
#include "lossd/base/resident_memory.h"

namespace lossd {
namespace {

using Path = std::filesystem::path;

// A bound in a file; "max" is none.
std::optional<double> Bound(const Path& file) {
  double bytes = 0;
  if (!absl::SimpleAtod(FirstWord(file), &bytes)) return std::nullopt;
  // Version 1 says so many pages that no machine has them.
  constexpr double kNone = int64_t{1} << 60;
  if (bytes >= kNone) return std::nullopt;
  return bytes;
}

// RLIM_INFINITY where it is not bounded.
rlim_t AddressSpaceLimit() {
  rlimit limit = {};
  return getrlimit(RLIMIT_AS, &limit) == 0 ? limit.rlim_cur : RLIM_INFINITY;
}

int64_t MachineMemory() { return int64_t{sysconf(_SC_PHYS_PAGES)} * sysconf(_SC_PAGESIZE); }

// What there is with all that the address space may grow by, but for what the stacks of threads and
// malloc's arenas take of it without being memory.
std::optional<int64_t> AddressSpace() {
  if (!IsAddressSpaceBounded()) return std::nullopt;
  const auto most = static_cast<int64_t>(std::min<rlim_t>(AddressSpaceLimit(), int64_t{1} << 60));
  constexpr int64_t kNoMemory = int64_t{1} << 30;
  return ResidentBytes() + std::max<int64_t>(0, most - AddressSpaceBytes() - kNoMemory);
}

}  // namespace

bool IsAddressSpaceBounded() { return AddressSpaceLimit() != RLIM_INFINITY; }

std::optional<int64_t> CgroupMemory(const Path& root) {
  const std::optional<double> least = LeastBoundOfCgroups(
      root, "memory", [](const Path& group) { return Bound(group / "memory.limit_in_bytes"); },
      [](const Path& group) { return Bound(group / "memory.max"); });
  if (!least.has_value()) return std::nullopt;
  return static_cast<int64_t>(*least);
}

int64_t AvailableMemory() {
  const int64_t machine = MachineMemory();
  return std::min({machine, CgroupMemory().value_or(machine), AddressSpace().value_or(machine)});
}

}  // namespace lossd
