#ifndef SERVER_HANDLERS_H_
#define SERVER_HANDLERS_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <limits>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "lossd/base/cancellation.h"
#include "lossd/base/context.h"
#include "lossd/base/task_pool.h"
#include "lossd/compute/orchestrator.h"
#include "lossd/tensor/arrivals.h"
#include "lossd/v1/service.pb.h"
#include "lossd/wire/stream_layout.h"
#include "server/batch_codec.h"
#include "server/demand.h"
#include "server/devices/devices.h"
#include "server/plan_cache.h"
#include "server/shared_memory/segments.h"

namespace lossd {

// What a request says before there is anything in its tensors.
struct Announcement {
  std::shared_ptr<const Orchestrator> plan;
  Schedule schedule;   // Good as long as the plan.
  OutcomeSize answer;  // What is going to be answered.
  uint64_t crop_seed;  // The request's, or drawn.
  Demand demand;
  DeviceNeed of_device;
};

// The most that a request may ask for.
struct RequestLimits {
  int64_t bytes = 0;  // Of its tensors as they are computed on, and of its answer.
  double cost = std::numeric_limits<double>::infinity();  // See ComputeCost.
};

// A request whose tensors are still to come.
struct StreamedRequest {
  v1::ComputeRequest header;
  Announcement announcement;
  std::vector<StreamedTensor> tensors;
};

// An answer whose tensors are to follow it, contiguous and on the CPU.
struct StreamedAnswer {
  v1::ComputeResponse header;
  std::vector<at::Tensor> tensors;
};

// What the service's methods compute, without gRPC. Nothing here throws: what LibTorch or the
// standard library throws becomes INTERNAL, or RESOURCE_EXHAUSTED for lack of memory. Thread-safe.
class Handlers {
 public:
  // `threads` >= 1 share the work of all calls, those that call included; `plan_cache_size` >= 1
  // compiled plans are kept; clients may share segments of `shared_memory_bytes` together; requests
  // are computed on `devices`, of which `on_loss` is told.
  Handlers(int threads, size_t plan_cache_size, int64_t shared_memory_bytes = 0,
           std::vector<std::unique_ptr<Device>> devices = OnlyTheHost(),
           Devices::OnLoss on_loss = {})
      : pool_(threads),
        plans_(plan_cache_size),
        devices_(std::move(devices), std::move(on_loss)),
        arrivals_(MakeArrivals(devices_.HostMemory())),
        segments_(shared_memory_bytes) {}

  // Checks what is told by all of a request but what is in its tensors, for which no memory is
  // taken. Errors: FieldErrors about the request; RESOURCE_EXHAUSTED for too many bytes.
  absl::StatusOr<Announcement> Announce(const v1::ComputeRequest& request,
                                        const RequestLimits& limits);

  // Everything in the response but the id and the timings of queue and total, for what Announce
  // returned. Errors: FieldErrors about the request; FAILED_PRECONDITION for an unknown segment of
  // shared memory; the status of the cancellation when that fires.
  absl::Status Compute(const v1::ComputeRequest& request, const Announcement& announcement,
                       const Cancellation& cancellation, v1::ComputeResponse* response);

  // As Announce, for the header of a stream.
  absl::StatusOr<StreamedRequest> Prepare(v1::ComputeRequest header, const RequestLimits& limits);

  // As Compute, for what Prepare returned; `data` are the tensors' bytes, contiguous, as uint8.
  absl::Status Compute(const StreamedRequest& request, absl::Span<const at::Tensor> data,
                       const Cancellation& cancellation, StreamedAnswer* answer);

  // An error only when there is no plan to check; what is wrong with a plan is the answer.
  absl::Status ValidatePlan(const v1::ValidatePlanRequest& request,
                            v1::ValidatePlanResponse* response);

  absl::Status ListLosses(v1::ListLossesResponse* response);

  // Where tensors arrive.
  const Arrivals& arrivals() const { return arrivals_; }
  // What clients share, and requests may name.
  Segments& segments() { return segments_; }
  const Segments& segments() const { return segments_; }
  PlanCache::Use plan_use() const { return plans_.use(); }
  const Devices& devices() const { return devices_; }

  // Gives memory back that no call has needed lately; to be called every few seconds.
  void GiveBackScratch() {
    pool_.workspace().Decay();
    arrivals_.Decay();
  }

  // Bytes that are kept for calls to come, and have them given back.
  int64_t kept_bytes();
  void GiveBackKept();

 private:
  // In memory that devices copy from at best.
  static Arrivals MakeArrivals(std::shared_ptr<ChunkMemory> memory) {
    if (memory == nullptr) return {};
    return Arrivals(std::make_shared<Workspace>(std::move(memory)));
  }

  // How a request's tensors come, and its answer's go.
  enum class Way { kInMessage, kShared, kStreamed };

  // Checks what a request announces: its plan, shapes and types, and that its tensors, decoded and
  // with labels that are to be made, its answer and its cost stay within the limits.
  absl::StatusOr<Announcement> Understand(const v1::ComputeRequest& request, Way way,
                                          const RequestLimits& limits);

  // A tensor of a request, from its data or a copy of what its client shares.
  absl::StatusOr<at::Tensor> ReadTensor(const v1::Tensor& message, ElementUse use,
                                        const Context& context) const;

  // Computes a batch that was begun to be read at `start`, and writes the answer; its gradients
  // beside it where `apart` is given.
  absl::Status Answer(const Announcement& announcement, const Batch& batch, absl::Time start,
                      const Context& context, v1::ComputeResponse* response,
                      std::vector<at::Tensor>* apart);

  TaskPool pool_;
  PlanCache plans_;
  Devices devices_;
  Arrivals arrivals_;
  Segments segments_;
};

}  // namespace lossd

#endif  // SERVER_HANDLERS_H_
