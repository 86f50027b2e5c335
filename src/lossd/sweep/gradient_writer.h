#ifndef LOSSD_SWEEP_GRADIENT_WRITER_H_
#define LOSSD_SWEEP_GRADIENT_WRITER_H_

#include <ATen/ATen.h>

#include <atomic>

#include "lossd/base/context.h"
#include "lossd/losses/loss.h"
#include "lossd/sweep/block_reader.h"

namespace lossd {

// Writes a gradient where it is wanted, part by part as it is computed: in place where it may lie
// there as float32, else by way of a block that is still in the cache. Parts that do not overlap
// may be written in parallel.
class GradientWriter {
 public:
  explicit GradientWriter(const GradientInto& gradient);

  bool wanted() const { return gradient_.wanted(); }
  // Whether blocks are written in place: `into` is float32 on the CPU and nothing is added.
  bool in_place() const { return in_place_; }
  // What is put is factor × gradient: `scale` times that factor, for kernels that multiply anyway.
  float Scale(double scale) const { return static_cast<float>(gradient_.factor * scale); }

  // Where a sweep computes its block of factor × gradient; null when none is wanted. Scratch: as
  // many floats as the range.
  float* Block(const BlockRange& range, float* scratch) const;
  // Takes what is in such a block over. Null: nothing.
  void Put(const BlockRange& range, const float* block);

  // The same for a part of `into` as a tensor, and factor × gradient there, of any layout.
  void PutPart(const at::Tensor& part, const at::Tensor& product);
  // Puts zeros into a part.
  void PutZeros(const at::Tensor& part, const Context& context);

  // Whether all that was put is finite.
  bool finite() const { return finite_; }

 private:
  template <typename T>
  T* At(const BlockRange& range) const;

  const GradientInto gradient_;
  const bool on_cpu_;
  const bool in_place_;
  std::atomic<bool> finite_ = true;
};

// Writes the whole gradient with respect to a prediction, in its shape; whether factor × gradient
// is finite.
bool WriteGradient(const at::Tensor& gradient, const GradientInto& into, const Context& context);

}  // namespace lossd

#endif  // LOSSD_SWEEP_GRADIENT_WRITER_H_
