#ifndef SERVER_DEVICES_DEVICES_H_
#define SERVER_DEVICES_DEVICES_H_

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <set>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/devices/device.h"

namespace lossd {

// The devices of a server. Each request is computed whole on one, that with the least to do in
// bytes of those that have room for it; where none has, it waits, and who comes later behind it. A
// device that has failed for good is not used again, and what it was computing is computed on
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

  // Whether a request may fit one of them: RESOURCE_EXHAUSTED, with the reason TOO_LARGE, where
  // none has so much memory.
  absl::Status CheckFits(const DeviceNeed& need) const;

  // Orchestrator::Compute on one of them. Where its memory does not do, for need.likely is no
  // bound, the request is computed once more, alone on a device that has given back what it keeps;
  // then the error is RESOURCE_EXHAUSTED. UNAVAILABLE with the reason DEVICE_LOST when no device is
  // left.
  absl::StatusOr<Outcome> Compute(const Orchestrator& plan, const Schedule& schedule,
                                  const Batch& batch, DeviceNeed need, const Context& context);

  // The first such memory of a device's choice; null: any will do.
  std::shared_ptr<ChunkMemory> HostMemory() const;

  std::vector<State> states() const;
  bool any_in_service() const;
  // How many requests wait for room.
  size_t waiting() const;

 private:
  struct Slot {
    std::unique_ptr<Device> device;
    bool in_service = true;
    int64_t requests = 0;
    int64_t bytes = 0;
  };

  // One that has room, and now need.likely bytes more to do; waits for it.
  absl::StatusOr<Slot*> Take(const DeviceNeed& need, const Context& context);
  void Leave(Slot& slot, int64_t bytes);
  void TakeOutOfService(Slot& slot, const absl::Status& why);

  // Whether it would have, were it alone.
  static bool HasSpace(const Slot& slot, const DeviceNeed& need);

  // With the lock held.
  bool AnyInService() const;
  absl::Status Check(const DeviceNeed& need) const;
  // Null: it has to wait, as the next two say.
  absl::StatusOr<Slot*> TryTake(uint64_t ticket, const DeviceNeed& need, const Context& context);
  Slot* FindRoom(const DeviceNeed& need);

  const OnLoss on_loss_;
  mutable std::mutex mutex_;
  std::vector<Slot> slots_;
  std::condition_variable changed_;  // There may be room, or another one is first in line.
  uint64_t last_ticket_ = 0;
  std::set<uint64_t> line_;  // Those that wait, by when they came.
};

// What `--devices` names: "auto" for every GPU that can be used or else the host, "cpu", or GPUs as
// "cuda:0,cuda:1". FieldErrors about "devices": for what is no list, is not there or cannot be
// used, with the reason. All have passed their self-test.
absl::StatusOr<std::vector<std::unique_ptr<Device>>> OpenDevices(const std::string& names);

// The host alone.
std::vector<std::unique_ptr<Device>> OnlyTheHost();

}  // namespace lossd

#endif  // SERVER_DEVICES_DEVICES_H_
