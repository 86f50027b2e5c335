#include "lossd/losses/overlap/softmax_overlap.h"

#include <algorithm>
#include <utility>

#include "lossd/sweep/gradient_writer.h"
#include "lossd/sweep/kernels.h"
#include "lossd/sweep/softmax_kernels.h"

namespace lossd {
namespace {

std::vector<int64_t> OneChannel(const at::Tensor& pred) {
  std::vector<int64_t> sizes = pred.sizes().vec();
  sizes[1] = 1;
  return sizes;
}

BlockRange OfClass(BlockRange range, int64_t c) {
  range.channel = c;
  return range;
}

}  // namespace

SoftmaxOverlap::SoftmaxOverlap(const at::Tensor& pred, const std::optional<ClampRange>& clamp,
                               const at::Tensor& target, bool one_hot)
    : pred_(pred),
      classes_(pred.size(1)),
      one_hot_(one_hot),
      blocks_(OneChannel(pred)),
      pred_reader_(pred, pred.sizes(), clamp),
      target_reader_(target, one_hot ? OneChannel(pred) : pred.sizes().vec()) {}

SoftmaxOverlap::Classes SoftmaxOverlap::Read(const BlockRange& range) const {
  // No more than the block needs: there may be more classes than voxels.
  Classes block = {
      .floats = std::make_unique_for_overwrite<float[]>((3 * classes_ + 2) * range.size),
      .probabilities = std::vector<float*>(classes_),
      .target = std::vector<const float*>(classes_)};
  float* next = block.floats.get();
  const auto take = [&] { return std::exchange(next, next + range.size); };
  block.scratch = take();
  take();
  const float* const indices = one_hot_ ? target_reader_.Read(range, block.scratch) : nullptr;
  std::vector<const float*> logits(classes_);
  for (int64_t c = 0; c < classes_; ++c) {
    logits[c] = pred_reader_.Read(OfClass(range, c), take());
    block.probabilities[c] = take();
    float* const target = take();
    if (one_hot_) {
      OneHotBlock(indices, static_cast<float>(c), range.size, target);
      block.target[c] = target;
    } else {
      block.target[c] = target_reader_.Read(OfClass(range, c), target);
    }
  }
  SoftmaxBlock({.logits = logits.data(),
                .classes = classes_,
                .size = range.size,
                .probabilities = block.probabilities.data(),
                .scratch = block.scratch});
  return block;
}

at::Tensor SoftmaxOverlap::Sum(const Context& context) const {
  // In the order of blocks, so that sums do not depend on threads.
  std::vector<OverlapSums> partial(blocks_.count() * classes_);
  context.ParallelFor(blocks_.count(), 16, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const BlockRange range = blocks_[b];
      const Classes block = Read(range);
      for (int64_t c = 0; c < classes_; ++c) {
        partial[b * classes_ + c] = OverlapBlock(block.probabilities[c], block.target[c],
                                                 /*sigmoid=*/false, range.size);
      }
    }
  });
  at::Tensor sums = at::zeros({pred_.size(0), classes_, 3}, at::kDouble);
  const auto sum = sums.accessor<double, 3>();
  for (int64_t b = 0; b < blocks_.count(); ++b) {
    for (int64_t c = 0; c < classes_; ++c) {
      const OverlapSums& block = partial[b * classes_ + c];
      auto of_class = sum[b / blocks_.per_group()][c];
      of_class[0] += block.common;
      of_class[1] += block.pred;
      of_class[2] += block.target;
    }
  }
  return sums;
}

bool SoftmaxOverlap::WriteGradient(const at::Tensor& factors, const Context& context,
                                   const GradientInto& gradient) const {
  // By sample, first the factors of all classes' targets, then the constants.
  const at::Tensor by_sample =
      (factors * gradient.factor).to(at::kFloat).transpose(1, 2).contiguous();
  const auto* const factor = by_sample.const_data_ptr<float>();
  GradientWriter writer(gradient);
  context.ParallelFor(blocks_.count(), 16, [&](int64_t begin, int64_t end) {
    for (int64_t b = begin; b < end; ++b) {
      const BlockRange range = blocks_[b];
      const Classes block = Read(range);
      const float* const of_sample = factor + range.sample * 2 * classes_;
      SoftmaxGradientBlock({.probabilities = block.probabilities.data(),
                            .target = block.target.data(),
                            .common = of_sample,
                            .constant = of_sample + classes_,
                            .classes = classes_,
                            .size = range.size,
                            .scratch = block.scratch});
      for (int64_t c = 0; c < classes_; ++c) {
        const BlockRange of_class = OfClass(range, c);
        float* const out = writer.Block(of_class, block.probabilities[c]);
        if (out != block.probabilities[c]) std::copy_n(block.probabilities[c], range.size, out);
        writer.Put(of_class, out);
      }
    }
  });
  return writer.finite();
}

}  // namespace lossd
