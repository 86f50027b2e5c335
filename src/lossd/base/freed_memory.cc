#include "lossd/base/freed_memory.h"

#include <malloc.h>

namespace lossd {

// Either setting alone would freeze the other at its default.
void KeepFreedMemory() {
  constexpr int kTrimThreshold = 1 << 30;
  constexpr int kMmapThreshold = 32 << 20;
  mallopt(M_TRIM_THRESHOLD, kTrimThreshold);
  mallopt(M_MMAP_THRESHOLD, kMmapThreshold);
}

int64_t FreedBytes() { return static_cast<int64_t>(mallinfo2().fordblks); }

void GiveBackFreedMemory() { malloc_trim(0); }

}  // namespace lossd
