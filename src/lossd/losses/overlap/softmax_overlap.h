#ifndef LOSSD_LOSSES_OVERLAP_SOFTMAX_OVERLAP_H_
#define LOSSD_LOSSES_OVERLAP_SOFTMAX_OVERLAP_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "lossd/base/context.h"
#include "lossd/losses/loss.h"
#include "lossd/sweep/block_reader.h"
#include "lossd/sweep/sweep.h"

namespace lossd {

// Overlaps of softmax probabilities with their target, in sweeps that compute the probabilities of
// a block of voxels in cache, once for the sums and once more for the gradient.
class SoftmaxOverlap {
 public:
  // pred [B, C, …], C > 1, clamped where that is wanted; target of its shape, or class indices
  // [B, 1, …] in [0, C) when `one_hot`.
  SoftmaxOverlap(const at::Tensor& pred, const std::optional<ClampRange>& clamp,
                 const at::Tensor& target, bool one_hot);

  // Σ p·target, Σ p and Σ target of each sample and class: float64 [B, C, 3].
  at::Tensor Sum(const Context& context) const;

  // Writes the gradient of a function whose derivative with respect to p is factors[0]·target +
  // factors[1], factors float64 [B, C, 2]; whether what was to be written is finite.
  bool WriteGradient(const at::Tensor& factors, const Context& context,
                     const GradientInto& gradient) const;

 private:
  // What is in cache of a block.
  struct Classes {
    std::unique_ptr<float[]> floats;
    std::vector<float*> probabilities;
    std::vector<const float*> target;
    float* scratch = nullptr;  // Of two blocks.
  };

  Classes Read(const BlockRange& range) const;

  const at::Tensor pred_;
  const int64_t classes_;
  const bool one_hot_;
  const Blocks blocks_;  // Of voxels.
  const BlockReader pred_reader_;
  const BlockReader target_reader_;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_OVERLAP_SOFTMAX_OVERLAP_H_
