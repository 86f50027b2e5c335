#ifndef LOSSD_LOSSES_SOFTMAX_KERNELS_H_
#define LOSSD_LOSSES_SOFTMAX_KERNELS_H_

#include <cstdint>

namespace lossd {

// Some voxels with a logit for each of several exclusive classes, and the index of the true one.
struct ClassBlock {
  const float* const* logits;  // Of each class.
  const float* target;         // Integers.
  const float* class_weight;   // Of each class.
  int64_t classes;
  int64_t size;
  float ignored;           // Target of voxels that do not count.
  float gradient_scale;    // Factor on the gradient, not on the value.
  float* const* gradient;  // Of each class; null: not wanted.
  float* scratch;          // 4 × size.
};

// Σ weight × −log softmax of the true classes, which the targets that count all are; gradient =
// gradient_scale × its derivative.
double CrossEntropyBlock(const ClassBlock& block);

}  // namespace lossd

#endif  // LOSSD_LOSSES_SOFTMAX_KERNELS_H_
