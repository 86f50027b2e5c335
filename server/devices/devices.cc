#include "server/devices/devices.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"

namespace lossd {
namespace {

// More than any device has: of a request that is to be alone on one.
constexpr int64_t kAll = int64_t{1} << 60;

}  // namespace

Devices::Devices(std::vector<std::unique_ptr<Device>> devices, OnLoss on_loss)
    : on_loss_(std::move(on_loss)) {
  for (std::unique_ptr<Device>& device : devices) slots_.push_back({.device = std::move(device)});
}

absl::StatusOr<Outcome> Devices::Compute(const Orchestrator& plan, const Schedule& schedule,
                                         const Batch& batch, DeviceNeed need,
                                         const Context& context) {
  bool alone = false;
  for (;;) {
    const absl::StatusOr<Slot*> slot = Take(need, context);
    if (!slot.ok()) return slot.status();
    Device& device = *(*slot)->device;
    if (alone) device.GiveBackMemory();
    absl::StatusOr<Outcome> outcome = device.Compute(plan, schedule, batch, context);
    const bool lost = absl::IsInternal(outcome.status()) && !device.Works();
    if (lost) TakeOutOfService(**slot, outcome.status());
    Leave(**slot, need.likely);
    const bool lacks_memory =
        absl::IsResourceExhausted(outcome.status()) && device.facts().memory_bytes > 0;
    if (!lost && (!lacks_memory || alone)) return outcome;
    if (!lacks_memory) continue;
    alone = true;
    need.likely = kAll;
  }
}

absl::Status Devices::CheckFits(const DeviceNeed& need) const {
  const std::scoped_lock lock(mutex_);
  return Check(need);
}

bool Devices::HasSpace(const Slot& slot, const DeviceNeed& need) {
  const int64_t memory = slot.device->facts().memory_bytes;
  return memory == 0 || need.least <= memory;
}

absl::Status Devices::Check(const DeviceNeed& need) const {
  const Slot* largest = nullptr;
  for (const Slot& slot : slots_) {
    if (!slot.in_service) continue;
    if (HasSpace(slot, need)) return absl::OkStatus();
    const auto bytes = [](const Slot* s) { return s->device->facts().memory_bytes; };
    if (largest == nullptr || bytes(&slot) > bytes(largest)) largest = &slot;
  }
  if (largest == nullptr) {
    return WithReason("DEVICE_LOST", absl::UnavailableError("the server's devices have failed"));
  }
  const DeviceFacts& facts = largest->device->facts();
  return WithReason("TOO_LARGE",
                    absl::ResourceExhaustedError(absl::StrCat(
                        "the request's tensors and gradients are ", need.least,
                        " bytes on a device, and ", facts.name, " has ", facts.memory_bytes,
                        " bytes of memory, no other more: send fewer voxels at a time")));
}

absl::StatusOr<Devices::Slot*> Devices::Take(const DeviceNeed& need, const Context& context) {
  // To look whether anybody still waits for the request.
  constexpr std::chrono::milliseconds kPatience{20};
  std::unique_lock lock(mutex_);
  const uint64_t ticket = ++last_ticket_;
  line_.insert(ticket);
  absl::StatusOr<Slot*> slot;
  const auto waits = [&] {
    slot = TryTake(ticket, need, context);
    return slot.ok() && *slot == nullptr;
  };
  if (!waits()) {
    line_.erase(ticket);
    return slot;
  }
  lock.unlock();
  context.Rest([&] {
    lock.lock();
    while (waits()) changed_.wait_for(lock, kPatience);
    line_.erase(ticket);
    lock.unlock();
    changed_.notify_all();
  });
  return slot;
}

absl::StatusOr<Devices::Slot*> Devices::TryTake(uint64_t ticket, const DeviceNeed& need,
                                                const Context& context) {
  if (absl::Status fits = Check(need); !fits.ok()) return fits;
  if (absl::Status status = context.status(); !status.ok()) return status;
  Slot* const slot = *line_.begin() == ticket ? FindRoom(need) : nullptr;
  if (slot == nullptr) return nullptr;
  slot->bytes += need.likely;
  ++slot->requests;
  return slot;
}

Devices::Slot* Devices::FindRoom(const DeviceNeed& need) {
  Slot* least = nullptr;
  for (Slot& slot : slots_) {
    const int64_t memory = slot.device->facts().memory_bytes;
    // What may need more than there is gets all there is.
    const bool room = slot.requests == 0 || memory == 0 || need.likely <= memory - slot.bytes;
    if (!slot.in_service || !HasSpace(slot, need) || !room) continue;
    if (least == nullptr || slot.bytes < least->bytes) least = &slot;
  }
  return least;
}

void Devices::Leave(Slot& slot, int64_t bytes) {
  {
    const std::scoped_lock lock(mutex_);
    slot.bytes -= bytes;
    --slot.requests;
  }
  changed_.notify_all();
}

void Devices::TakeOutOfService(Slot& slot, const absl::Status& why) {
  bool others = false;
  {
    const std::scoped_lock lock(mutex_);
    if (!std::exchange(slot.in_service, false)) return;
    others = AnyInService();
  }
  if (on_loss_) on_loss_(slot.device->facts(), why, others);
}

std::vector<Devices::State> Devices::states() const {
  const std::scoped_lock lock(mutex_);
  std::vector<State> states;
  for (const Slot& slot : slots_) {
    states.push_back(
        {.facts = slot.device->facts(), .in_service = slot.in_service, .requests = slot.requests});
  }
  return states;
}

bool Devices::any_in_service() const {
  const std::scoped_lock lock(mutex_);
  return AnyInService();
}

size_t Devices::waiting() const {
  const std::scoped_lock lock(mutex_);
  return line_.size();
}

std::shared_ptr<ChunkMemory> Devices::HostMemory() const {
  for (const Slot& slot : slots_) {
    if (std::shared_ptr<ChunkMemory> memory = slot.device->HostMemory()) return memory;
  }
  return nullptr;
}

bool Devices::AnyInService() const {
  return std::any_of(slots_.begin(), slots_.end(), [](const Slot& s) { return s.in_service; });
}

}  // namespace lossd
