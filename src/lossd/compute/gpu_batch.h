#ifndef LOSSD_COMPUTE_GPU_BATCH_H_
#define LOSSD_COMPUTE_GPU_BATCH_H_

#include <ATen/core/Tensor.h>

#include "absl/status/statusor.h"
#include "lossd/base/context.h"
#include "lossd/compute/batch.h"
#include "lossd/compute/orchestrator.h"

namespace lossd {

// Orchestrator::Compute of a batch on the host, computed on a GPU in its current stream; the answer
// is on the host, too, in pinned memory. Losses, and weights of MALIS, are the host's, the latter
// to the bit, the others within rounding; the same request gives the same bits each time. Errors:
// Orchestrator::Compute's; RESOURCE_EXHAUSTED where the GPU lacks memory, INTERNAL where it failed.
absl::StatusOr<Outcome> ComputeOnGpu(const Orchestrator& plan, const Schedule& schedule,
                                     const Batch& batch, const at::Device& gpu,
                                     const Context& context);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_GPU_BATCH_H_
