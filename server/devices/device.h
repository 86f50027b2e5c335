#ifndef SERVER_DEVICES_DEVICE_H_
#define SERVER_DEVICES_DEVICE_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "lossd/base/context.h"
#include "lossd/base/workspace.h"
#include "lossd/compute/batch.h"
#include "lossd/compute/orchestrator.h"

namespace lossd {

struct DeviceFacts {
  std::string name;          // "cpu", "cuda:0"
  std::string description;   // "NVIDIA H100 80GB HBM3"; empty for the host.
  std::string architecture;  // "sm_90"; of the host the vector instructions.
  int64_t memory_bytes = 0;  // Of its own; 0: the host's.
};

// Bytes that a request takes of a device's memory.
struct DeviceNeed {
  int64_t least;   // Its tensors and its gradients, which are there at the same time.
  int64_t likely;  // With all that can be told.
};

// Where requests are computed: the host or a GPU. Thread-safe.
class Device {
 public:
  explicit Device(DeviceFacts facts) : facts_(std::move(facts)) {}
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  const DeviceFacts& facts() const { return facts_; }

  // Orchestrator::Compute; the batch is on the host, and so is the answer. Errors beside its own:
  // RESOURCE_EXHAUSTED where the device lacks memory, INTERNAL where it failed.
  virtual absl::StatusOr<Outcome> Compute(const Orchestrator& plan, const Schedule& schedule,
                                          const Batch& batch, const Context& context) = 0;

  // After an error that may be the device's: whether it still computes. What has failed for good
  // never does again in this process.
  virtual bool Works() = 0;

  // Gives memory back that is kept for requests to come.
  virtual void GiveBackMemory() = 0;

  // Memory of the host that it copies from at best; null: any.
  virtual std::shared_ptr<ChunkMemory> HostMemory() { return nullptr; }

 private:
  const DeviceFacts facts_;
};

}  // namespace lossd

#endif  // SERVER_DEVICES_DEVICE_H_
