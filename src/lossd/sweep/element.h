#ifndef LOSSD_SWEEP_ELEMENT_H_
#define LOSSD_SWEEP_ELEMENT_H_

#include <cstdint>

#include "lossd/sweep/vector_math.h"

namespace lossd {

// A loss at one element, and its derivative with respect to the prediction there.
struct LossAndSlope {
  float loss;
  float slope;
};

// An element function is a small struct of its parameters with
//   LOSSD_VECTORIZED LossAndSlope operator()(float pred, float target) const;
// or, for a loss of their difference, operator()(float difference), and
//   auto Map(const auto& pred, const auto& target) const;
// the same as a LibTorch expression of whole tensors, for all that the sweeps do not compute. A
// template, so that sweeps need not know LibTorch: its functions are found by their arguments. The
// first is compiled for every instruction set and for GPUs, and calls LOSSD_VECTORIZED functions
// alone.

// What functions of LibTorch take for a map that is not reduced.
inline constexpr int64_t kNotReduced = 0;

}  // namespace lossd

#endif  // LOSSD_SWEEP_ELEMENT_H_
