#ifndef SERVER_HANDLERS_H_
#define SERVER_HANDLERS_H_

#include <cstddef>

#include "absl/status/status.h"
#include "lossd/base/cancellation.h"
#include "lossd/base/task_pool.h"
#include "lossd/v1/service.pb.h"
#include "server/plan_cache.h"

namespace lossd {

// What the service's methods compute, without gRPC. Nothing here throws: what LibTorch or the
// standard library throws becomes INTERNAL, or RESOURCE_EXHAUSTED for lack of memory. Thread-safe.
class Handlers {
 public:
  // `threads` >= 1 share the work of all calls, those that call included; `plan_cache_size` >= 1
  // compiled plans are kept.
  Handlers(int threads, size_t plan_cache_size) : pool_(threads), plans_(plan_cache_size) {}

  // Everything in the response but the id and the timings of queue and total. Errors: FieldErrors
  // about the request; the status of the cancellation when that fires.
  absl::Status Compute(const v1::ComputeRequest& request, const Cancellation& cancellation,
                       v1::ComputeResponse* response);

  // An error only when there is no plan to check; what is wrong with a plan is the answer.
  absl::Status ValidatePlan(const v1::ValidatePlanRequest& request,
                            v1::ValidatePlanResponse* response);

  absl::Status ListLosses(v1::ListLossesResponse* response);

 private:
  TaskPool pool_;
  PlanCache plans_;
};

}  // namespace lossd

#endif  // SERVER_HANDLERS_H_
