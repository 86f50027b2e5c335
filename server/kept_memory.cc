#include "server/kept_memory.h"

#include "lossd/base/freed_memory.h"
#include "lossd/base/resident_memory.h"

namespace lossd {

KeptMemory::KeptMemory(Handlers& handlers, int64_t most)
    : handlers_(handlers), most_(most), base_(ResidentBytes()) {}

void KeptMemory::MakeRoom(int64_t reserved) const {
  // The first is quick, and nothing is kept that is not there.
  if (ResidentBytes() - base_ + reserved <= most_) return;
  if (handlers_.kept_bytes() + FreedBytes() + reserved <= most_) return;
  handlers_.GiveBackKept();
  GiveBackFreedMemory();
}

}  // namespace lossd
