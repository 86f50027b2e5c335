#include "lossd/compute/gradient_sum.h"

#include <array>
#include <cmath>
#include <utility>

#include "lossd/sweep/block_reader.h"
#include "lossd/sweep/kernels.h"
#include "lossd/sweep/slabs.h"
#include "lossd/sweep/sweep.h"

namespace lossd {
namespace {

bool IsFinite(const at::Tensor& tensor, const Context& context) {
  const auto [low, high] = RangeOf(tensor, context);
  return std::isfinite(low) && std::isfinite(high);
}

// sum += factor × gradient, or with `add` false sum = factor × gradient, in one sweep on the CPU.
// `sum` is float32 with dense channels, and may be the gradient. Whether every product is finite.
bool AddScaled(const at::Tensor& gradient, double factor, bool add, const at::Tensor& sum,
               const Context& context) {
  const Blocks blocks(gradient.sizes());
  const BlockReader reader(gradient, gradient.sizes());
  auto* const out = sum.mutable_data_ptr<float>();
  const auto not_finite = Sweep<1>(blocks, context, [&](const BlockRange& range) {
    std::array<float, kBlockSize> scratch;
    float* const block =
        out + range.sample * sum.stride(0) + range.channel * sum.stride(1) + range.begin;
    const bool finite = AddScaledBlock(reader.Read(range, scratch.data()),
                                       static_cast<float>(factor), add, range.size, block);
    return std::array<double, 1>{finite ? 0.0 : 1.0};
  });
  for (const auto& group : not_finite) {
    if (group[0] != 0) return false;
  }
  return true;
}

}  // namespace

GradientSum::GradientSum(at::Tensor prediction, bool overlapping, at::ScalarType dtype)
    : prediction_(std::move(prediction)),
      dtype_(dtype),
      dtype_while_adding_(overlapping ? at::kFloat : dtype) {}

bool GradientSum::Add(const ChannelRange& channels, at::Tensor gradient, double factor,
                      const Context& context) {
  const bool whole = channels == ChannelRange{0, prediction_.size(1)};
  const bool sweeps = dtype_while_adding_ == at::kFloat && gradient.is_cpu();
  if (!sum_.defined() && whole && gradient.scalar_type() == dtype_while_adding_ &&
      gradient.is_contiguous() && gradient.use_count() == 1) {
    sum_ = std::move(gradient);
    if (sweeps) return AddScaled(sum_, factor, /*add=*/false, sum_, context);
    return IsFinite(sum_.mul_(factor), context);
  }
  if (!sum_.defined()) {
    sum_ = at::zeros(prediction_.sizes(), prediction_.options().dtype(dtype_while_adding_));
  }
  const at::Tensor part = sum_.narrow(1, channels.start, channels.size());
  if (sweeps) return AddScaled(gradient, factor, /*add=*/true, part, context);
  part.add_(gradient, factor);
  // In half precision a finite product may be none.
  return IsFinite(part, context);
}

at::Tensor GradientSum::Finish(const PredictionClamp* clamp, const Context& context) {
  if (!sum_.defined()) {
    return at::zeros(prediction_.sizes(), prediction_.options().dtype(dtype_));
  }
  if (clamp != nullptr) clamp->ZeroWhereCut(sum_, context);
  return ToType(std::exchange(sum_, at::Tensor()), dtype_, context);
}

}  // namespace lossd
