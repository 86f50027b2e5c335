#ifndef LOSSD_COMPUTE_MEMORY_NEED_H_
#define LOSSD_COMPUTE_MEMORY_NEED_H_

#include <cstdint>

#include "lossd/compute/batch.h"
#include "lossd/compute/schedule.h"

namespace lossd {

// What an outcome will hold.
struct OutcomeSize {
  int64_t terms = 0;           // TermOutcomes.
  int64_t gradients = 0;       // Tensors, those of terms included.
  int64_t gradient_bytes = 0;  // In these tensors.
  int64_t name_bytes = 0;      // In the names of these tensors.
};

// What a computation needs.
struct MemoryNeed {
  int64_t input_bytes = 0;    // In the batch's tensors.
  OutcomeSize outcome;        // Exactly.
  int64_t scratch_bytes = 0;  // Beyond both, at most.
  // On a GPU beyond both, as far as it can be told, see Loss::GpuScratchBytes.
  int64_t gpu_scratch_bytes = 0;
};

// Told from shapes and types, before there is anything in the batch's tensors. `threads`: how many
// compute at most.
MemoryNeed MeasureMemory(const Schedule& schedule, const Batch& batch, int threads);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_MEMORY_NEED_H_
