#ifndef LOSSD_COMPUTE_COMPUTE_COST_H_
#define LOSSD_COMPUTE_COMPUTE_COST_H_

#include "lossd/compute/batch.h"
#include "lossd/compute/schedule.h"

namespace lossd {

// How much there is to compute, told from shapes: voxels that are visited, summed over terms and
// their iterations. It grows with the time, of which it promises nothing: some 2 ns each on one
// core of 2020.
double ComputeCost(const Schedule& schedule, const Batch& batch);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_COMPUTE_COST_H_
