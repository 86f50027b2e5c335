#include "lossd/compute/class_balance.h"

#include <ATen/ExpandUtils.h>

#include <algorithm>
#include <array>

#include "lossd/sweep/block_reader.h"
#include "lossd/sweep/kernels.h"
#include "lossd/sweep/sweep.h"

namespace lossd {
namespace {

constexpr double kMaxWeight = 10;

}  // namespace

ClassCounts CountClasses(const at::Tensor& target, const at::Tensor& mask, const Context& context) {
  if (!target.is_cpu()) {
    const auto count = [&](const at::Tensor& is_class) {
      return (mask.defined() ? is_class.logical_and(mask) : is_class).sum().item<int64_t>();
    };
    return {count(target > 0), count(target <= 0)};
  }
  const std::vector<int64_t> sizes =
      mask.defined() ? at::infer_size(target.sizes(), mask.sizes()) : target.sizes().vec();
  const BlockReader targets(target, sizes);
  const BlockReader masks(mask, sizes);
  const auto sums = Sweep<2>(Blocks(sizes), context, [&](const BlockRange& range) {
    std::array<float, kBlockSize> scratch[2];
    const BlockCounts counts = CountBlock(targets.Read(range, scratch[0].data()),
                                          masks.Read(range, scratch[1].data()), range.size);
    return std::array<double, 2>{static_cast<double>(counts.positives),
                                 static_cast<double>(counts.negatives)};
  });
  ClassCounts counts;
  for (const auto& [foreground, background] : sums) {
    counts.foreground += static_cast<int64_t>(foreground);
    counts.background += static_cast<int64_t>(background);
  }
  return counts;
}

double AutoPosWeight(const ClassCounts& counts) {
  if (counts.foreground == 0 || counts.background == 0) return 1;
  return std::min(static_cast<double>(counts.background) / static_cast<double>(counts.foreground),
                  kMaxWeight);
}

ClassWeights BalancedWeights(const ClassCounts& counts) {
  if (counts.foreground == 0 || counts.background == 0) return {};
  const auto half = static_cast<double>(counts.foreground + counts.background) / 2;
  return {.foreground = std::min(half / static_cast<double>(counts.foreground), kMaxWeight),
          .background = std::min(half / static_cast<double>(counts.background), kMaxWeight)};
}

ClassWeights ClassWeightsOf(const PosWeight& pos_weight, const at::Tensor& target,
                            const at::Tensor& mask, const Context& context) {
  if (!pos_weight.automatic()) return {.foreground = *pos_weight.value, .background = 1};
  return BalancedWeights(CountClasses(target, mask, context));
}

}  // namespace lossd
