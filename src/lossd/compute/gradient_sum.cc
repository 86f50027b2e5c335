#include "lossd/compute/gradient_sum.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "lossd/sweep/gradient_writer.h"
#include "lossd/sweep/slabs.h"
#include "lossd/tensor/large_tensor.h"

namespace lossd {
namespace {

at::Tensor EmptyLike(const at::Tensor& prediction, at::ScalarType type) {
  if (prediction.is_cpu()) return EmptyLarge(prediction.sizes(), type);
  return at::empty(prediction.sizes(), prediction.options().dtype(type));
}

}  // namespace

GradientSum::GradientSum(at::Tensor prediction, bool overlapping, at::ScalarType dtype)
    : prediction_(std::move(prediction)),
      dtype_(dtype),
      dtype_while_adding_(overlapping ? at::kFloat : dtype),
      written_(prediction_.size(1)) {}

GradientInto GradientSum::Into(const ChannelRange& channels, double factor) {
  if (!sum_.defined()) sum_ = EmptyLike(prediction_, dtype_while_adding_);
  const auto begin = written_.begin() + channels.start;
  const auto end = written_.begin() + channels.stop;
  const bool add = std::find(begin, end, true) != end;
  if (add) ZeroWhatIsUnwritten(channels);
  std::fill(begin, end, true);
  return {.into = Part(sum_, 1, channels.start, channels.size()), .factor = factor, .add = add};
}

void GradientSum::ZeroWhatIsUnwritten(const ChannelRange& channels) {
  for (int64_t c = channels.start; c < channels.stop; ++c) {
    if (!written_[c]) sum_.select(1, c).zero_();
  }
}

GradientSum::Sum GradientSum::Finish(const PredictionClamp* clamp, const Context& context) {
  if (!sum_.defined()) {
    return {.gradient = at::zeros(prediction_.sizes(), prediction_.options().dtype(dtype_))};
  }
  ZeroWhatIsUnwritten({0, prediction_.size(1)});
  if (clamp != nullptr) clamp->ZeroWhereCut(sum_, context);
  if (dtype_ == dtype_while_adding_) return {.gradient = std::exchange(sum_, at::Tensor())};
  Sum sum = {.gradient = EmptyLike(prediction_, dtype_)};
  sum.fits = WriteGradient(std::exchange(sum_, at::Tensor()), {.into = sum.gradient}, context);
  return sum;
}

}  // namespace lossd
