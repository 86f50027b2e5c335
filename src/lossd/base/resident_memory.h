#ifndef LOSSD_BASE_RESIDENT_MEMORY_H_
#define LOSSD_BASE_RESIDENT_MEMORY_H_

#include <cstdint>
#include <functional>

namespace lossd {

// Bytes of this process that lie in memory now. Linux.
int64_t ResidentBytes();

// Bytes of its address space that are taken, in memory or not. Linux.
int64_t AddressSpaceBytes();

// By how many bytes that grows at most while `body` runs, of all threads. What the allocator has
// kept is given back before.
int64_t PeakResidentBytes(const std::function<void()>& body);

}  // namespace lossd

#endif  // LOSSD_BASE_RESIDENT_MEMORY_H_
