#include "lossd/losses/regularisers/non_overlap_regularization.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <optional>

#include "lossd/base/error.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/checks.h"
#include "lossd/sweep/block_reader.h"
#include "lossd/sweep/input_reader.h"
#include "lossd/sweep/kernels.h"
#include "lossd/sweep/large_tensor.h"
#include "lossd/sweep/sweep.h"

namespace lossd {
namespace {

class NonOverlapLoss : public AutogradLoss {
 public:
  explicit NonOverlapLoss(const NonOverlapRegularization& options)
      : cleft_masked_(options.cleft_masked) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = CheckPrediction("pred", inputs.pred); !status.ok()) return status;
    if (inputs.pred.size(1) >= 2) return absl::OkStatus();
    return FieldError("pred", "1 channel", "at least 2");
  }

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    at::Tensor map = inputs.pred.select(1, 0).sigmoid() * inputs.pred.select(1, 1).sigmoid();
    // Constant, or the overlap could be lowered by predicting no cleft.
    if (HasCleft(inputs)) map = map * inputs.pred.detach().select(1, 2).sigmoid();
    return map.mean();
  }

 private:
  bool HasCleft(const LossInputs& inputs) const {
    return cleft_masked_ && inputs.pred.size(1) >= 3;
  }

  std::optional<absl::StatusOr<ValueAndGradient>> ComputeFused(
      const LossInputs& inputs, const Context& context) const override {
    const at::IntArrayRef sizes = inputs.pred.sizes();
    const Blocks maps(inputs.pred.narrow(1, 0, 1).sizes());
    const InputReader reader(inputs);
    const double scale = 1 / static_cast<double>(maps.groups() * maps.voxels());
    ValueAndGradient result;
    float* gradient = nullptr;
    if (inputs.want_gradient) {
      result.gradient = EmptyFloats(sizes);
      gradient = result.gradient.mutable_data_ptr<float>();
    }
    const auto sums = Sweep<1>(maps, context, [&](const BlockRange& range) {
      std::array<float, kBlockSize> scratch[3];
      const auto channel = [&](int64_t c) {
        BlockRange of_channel = range;
        of_channel.channel = c;
        return reader.Pred(of_channel, scratch[c].data());
      };
      const auto gradient_of = [&](int64_t c) {
        return gradient == nullptr
                   ? nullptr
                   : gradient + (range.sample * sizes[1] + c) * maps.voxels() + range.begin;
      };
      for (int64_t c = 2; gradient != nullptr && c < sizes[1]; ++c) {
        std::fill_n(gradient_of(c), range.size, 0.0F);
      }
      return std::array<double, 1>{
          NonOverlapBlock({.first = channel(0),
                           .second = channel(1),
                           .cleft = HasCleft(inputs) ? channel(2) : nullptr,
                           .first_gradient = gradient_of(0),
                           .second_gradient = gradient_of(1),
                           .size = range.size},
                          static_cast<float>(scale))};
    });
    double sum = 0;
    for (const auto& group : sums) sum += group[0];
    result.value = at::scalar_tensor(sum * scale, at::kFloat);
    return result;
  }

  const bool cleft_masked_;
};

}  // namespace

std::unique_ptr<const Loss> NonOverlapRegularization::Make() const {
  return std::make_unique<NonOverlapLoss>(*this);
}

}  // namespace lossd
