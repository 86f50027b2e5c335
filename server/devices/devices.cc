#include "server/devices/devices.h"

#include <algorithm>
#include <utility>

#include "lossd/base/error.h"

namespace lossd {

Devices::Devices(std::vector<std::unique_ptr<Device>> devices, OnLoss on_loss)
    : on_loss_(std::move(on_loss)) {
  for (std::unique_ptr<Device>& device : devices) slots_.push_back({.device = std::move(device)});
}

absl::StatusOr<Outcome> Devices::Compute(const Orchestrator& plan, const Schedule& schedule,
                                         const Batch& batch, int64_t bytes,
                                         const Context& context) {
  while (Slot* const slot = Take(bytes)) {
    Device& device = *slot->device;
    const auto compute = [&] { return device.Compute(plan, schedule, batch, context); };
    absl::StatusOr<Outcome> outcome = compute();
    if (absl::IsResourceExhausted(outcome.status()) && device.GiveBackMemory()) outcome = compute();
    const bool lost = absl::IsInternal(outcome.status()) && !device.Works();
    if (lost) TakeOutOfService(*slot, outcome.status());
    Leave(*slot, bytes);
    if (!lost) return outcome;
  }
  return WithReason("DEVICE_LOST", absl::UnavailableError("the server's devices have failed"));
}

Devices::Slot* Devices::Take(int64_t bytes) {
  const std::scoped_lock lock(mutex_);
  Slot* least = nullptr;
  for (Slot& slot : slots_) {
    if (slot.in_service && (least == nullptr || slot.bytes < least->bytes)) least = &slot;
  }
  if (least == nullptr) return nullptr;
  least->bytes += bytes;
  ++least->requests;
  return least;
}

void Devices::Leave(Slot& slot, int64_t bytes) {
  const std::scoped_lock lock(mutex_);
  slot.bytes -= bytes;
  --slot.requests;
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

bool Devices::AnyInService() const {
  return std::any_of(slots_.begin(), slots_.end(), [](const Slot& s) { return s.in_service; });
}

}  // namespace lossd
