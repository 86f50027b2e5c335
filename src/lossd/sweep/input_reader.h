#ifndef LOSSD_SWEEP_INPUT_READER_H_
#define LOSSD_SWEEP_INPUT_READER_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>

#include "lossd/losses/loss.h"
#include "lossd/sweep/block_reader.h"

namespace lossd {

// Which elements of a tensor [B, C, …] are known, block by block.
class KnownElements {
 public:
  // `known` is bool and broadcast to `sizes`; undefined: all elements are known.
  KnownElements(const at::Tensor& known, at::IntArrayRef sizes);

  // The elements of a range with `otherwise` where they are not known: themselves when all are,
  // else in `out`, which may be `elements`. Null stays null.
  const float* Keep(const BlockRange& range, const float* elements, float otherwise,
                    float* out) const;

 private:
  at::Tensor known_;  // Keeps the elements alive.
  const bool* data_ = nullptr;
  int64_t voxel_stride_ = 0;  // 0 or 1.
};

// What a sweep reads of a loss's inputs, with LossInputs.clamp, class_weights, known and blank
// applied to each block as it is read: no tensor is copied. Scratch: as many floats as the range.
class InputReader {
 public:
  explicit InputReader(const LossInputs& inputs);

  const float* Pred(const BlockRange& range, float* scratch) const;
  const float* Target(const BlockRange& range, float* scratch) const;
  // Null: 1 everywhere.
  const float* Weight(const BlockRange& range, float* scratch) const;
  // Whether there is one.
  bool has_weight() const { return has_weight_; }
  // Zeroes the gradient where it does not depend on the prediction. Null stays null.
  void FinishGradient(const BlockRange& range, float* gradient) const;

 private:
  const float* OfClasses(const BlockRange& range, const float* weight, float* scratch) const;

  KnownElements known_;
  std::optional<float> blank_;
  BlockReader pred_;
  BlockReader target_;
  bool has_weight_;
  BlockReader weight_;
  std::optional<ClassWeights> class_weights_;
};

// Whether there are masks to apply: `known` or class_weights.
bool HasMasks(const LossInputs& inputs);

// The same inputs with copies to which class_weights, `known` and `blank` have been applied.
// Unspecified when the context is cancelled.
LossInputs ApplyMasks(const LossInputs& inputs, const Context& context);

// The product of those that are defined.
at::Tensor Product(const at::Tensor& a, const at::Tensor& b);

// A float32 map of the target's shape.
at::Tensor ClassWeightMap(const at::Tensor& target, const ClassWeights& weights);

// A prediction at least float32 wide and clamped as LossInputs.clamp has it.
at::Tensor WidenAndClamp(const at::Tensor& prediction, const std::optional<ClampRange>& clamp);
// The same of a whole one. Unspecified when the context is cancelled.
at::Tensor WidenAndClamp(const at::Tensor& prediction, const std::optional<ClampRange>& clamp,
                         const Context& context);

}  // namespace lossd

#endif  // LOSSD_SWEEP_INPUT_READER_H_
