#include "lossd/shared_memory/mapping.h"

#include <sys/mman.h>

#include <cerrno>

#include "absl/status/status.h"

namespace lossd {

absl::StatusOr<Mapping> Mapping::Of(const FileDescriptor& file, size_t bytes, bool populate) {
  const int flags = MAP_SHARED | (populate ? MAP_POPULATE : 0);
  void* const memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, flags, file.get(), 0);
  if (memory == MAP_FAILED) return absl::ErrnoToStatus(errno, "cannot map a segment");
  return Mapping({static_cast<std::byte*>(memory), bytes});
}

Mapping::~Mapping() {
  if (!bytes_.empty()) munmap(bytes_.data(), bytes_.size());
}

}  // namespace lossd
