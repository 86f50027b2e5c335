#include "lossd/orchestrator/class_balance.h"

#include <algorithm>

namespace lossd {
namespace {

constexpr double kMaxWeight = 10;

}  // namespace

ClassCounts CountClasses(const at::Tensor& target, const at::Tensor& mask) {
  const auto count = [&](const at::Tensor& is_class) {
    return (mask.defined() ? is_class.logical_and(mask) : is_class).sum().item<int64_t>();
  };
  return {count(target > 0), count(target <= 0)};
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

ClassWeights ClassWeightsOf(const v1::PosWeight& pos_weight, const at::Tensor& target,
                            const at::Tensor& mask) {
  if (pos_weight.has_value()) return {.foreground = pos_weight.value(), .background = 1};
  return BalancedWeights(CountClasses(target, mask));
}

}  // namespace lossd
