#include "server/kept_memory.h"

#include "absl/time/clock.h"
#include "lossd/base/freed_memory.h"
#include "lossd/base/resident_memory.h"

namespace lossd {
namespace {

constexpr absl::Duration kPeriod = absl::Seconds(1);

}  // namespace

KeptMemory::KeptMemory(Handlers& handlers, int64_t most)
    : handlers_(handlers), most_(most), base_(ResidentBytes()) {}

void KeptMemory::MakeRoom(int64_t granted, int64_t reserved) {
  {
    const std::lock_guard lock(mutex_);
    most_kept_ += granted;
    // Looking takes longer than a tiny call; what nobody reserved, as gRPC's buffers, grows slowly.
    const absl::Time now = absl::Now();
    if (now - looked_ < kPeriod && most_kept_ + reserved <= most_) return;
    looked_ = now;
    // Nothing is kept that is not there.
    most_kept_ = ResidentBytes() - base_;
    if (most_kept_ + reserved <= most_) return;
  }
  if (handlers_.kept_bytes() + FreedBytes() + reserved <= most_) return;
  handlers_.GiveBackKept();
  GiveBackFreedMemory();
}

}  // namespace lossd
