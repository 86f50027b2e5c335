#ifndef SERVER_DEVICES_DEVICES_H_
#define SERVER_DEVICES_DEVICES_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/devices/device.h"

namespace lossd {

// The devices of a server. Each request is computed whole on one, that with the least to do in
// bytes. One that has failed for good is not used again, and what it was computing is computed on
// another. Thread-safe.
class Devices {
 public:
  struct State {
    DeviceFacts facts;
    bool in_service;
    int64_t requests;  // That it computes now.
  };

  // Told about a device that has failed for good, once for each, and whether others are left.
  using OnLoss = std::function<void(const DeviceFacts& lost, const absl::Status& why, bool others)>;

  // At least one.
  explicit Devices(std::vector<std::unique_ptr<Device>> devices, OnLoss on_loss = {});

  // Orchestrator::Compute on one of them; `bytes`: what the request takes. A device that lacks
  // memory is tried once more if it has given some back, then the error is RESOURCE_EXHAUSTED.
  // UNAVAILABLE with the reason DEVICE_LOST when no device is left.
  absl::StatusOr<Outcome> Compute(const Orchestrator& plan, const Schedule& schedule,
                                  const Batch& batch, int64_t bytes, const Context& context);

  std::vector<State> states() const;
  bool any_in_service() const;

 private:
  struct Slot {
    std::unique_ptr<Device> device;
    bool in_service = true;
    int64_t requests = 0;
    int64_t bytes = 0;
  };

  // The one with the least to do, which now has these bytes more; null when none is in service.
  Slot* Take(int64_t bytes);
  void Leave(Slot& slot, int64_t bytes);
  void TakeOutOfService(Slot& slot, const absl::Status& why);
  bool AnyInService() const;  // With the lock held.

  const OnLoss on_loss_;
  mutable std::mutex mutex_;
  std::vector<Slot> slots_;
};

// What `--devices` names: "auto" for every GPU that can be used or else the host, "cpu", or GPUs as
// "cuda:0,cuda:1". FieldErrors about "devices": for what is no list, is not there or cannot be
// used, with the reason. All have passed their self-test.
absl::StatusOr<std::vector<std::unique_ptr<Device>>> OpenDevices(const std::string& names);

// The host alone.
std::vector<std::unique_ptr<Device>> OnlyTheHost();

}  // namespace lossd

#endif  // SERVER_DEVICES_DEVICES_H_
