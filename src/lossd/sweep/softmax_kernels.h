#ifndef LOSSD_SWEEP_SOFTMAX_KERNELS_H_
#define LOSSD_SWEEP_SOFTMAX_KERNELS_H_

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

// Softmax over the classes of some voxels.
struct SoftmaxVoxels {
  const float* const* logits;  // Of each class.
  int64_t classes;
  int64_t size;
  float* const* probabilities;  // Of each class; not the logits.
  float* scratch;               // 2 × size.
};
void SoftmaxBlock(const SoftmaxVoxels& block);

// out = 1 where the target is the class, else 0.
void OneHotBlock(const float* target, float of_class, int64_t size, float* out);

// With a function of the probabilities whose derivative with respect to that of class c is
// d_c = common[c] × target[c] + constant[c]: replaces the probabilities by its derivatives with
// respect to the logits, p_c × (d_c − Σ p_k × d_k).
struct SoftmaxGradient {
  float* const* probabilities;  // Of each class.
  const float* const* target;   // Likewise.
  const float* common;          // Likewise.
  const float* constant;
  int64_t classes;
  int64_t size;
  float* scratch;  // As many floats as voxels.
};
void SoftmaxGradientBlock(const SoftmaxGradient& block);

}  // namespace lossd

#endif  // LOSSD_SWEEP_SOFTMAX_KERNELS_H_
