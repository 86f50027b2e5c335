#include "lossd/losses/regularization.h"

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/block_reader.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/input_reader.h"
#include "lossd/losses/kernels.h"
#include "lossd/losses/large_tensor.h"
#include "lossd/losses/map_loss.h"
#include "lossd/losses/reduction.h"
#include "lossd/losses/sweep.h"

namespace lossd {
namespace {

class BinaryRegularization : public MapLoss {
 public:
  explicit BinaryRegularization(const v1::BinaryRegularizationOptions& options)
      : min_threshold_(options.min_threshold()), apply_sigmoid_(options.apply_sigmoid()) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = CheckPrediction("pred", inputs.pred); !status.ok()) return status;
    return CheckBroadcastable("weight", inputs.weight, inputs.pred);
  }

  absl::StatusOr<at::Tensor> Map(const LossInputs& inputs) const override {
    const at::Tensor probability = apply_sigmoid_ ? inputs.pred.sigmoid() : inputs.pred;
    const at::Tensor map = (probability - 0.5).abs().clamp_min(min_threshold_).reciprocal();
    return TimesMask(map, inputs.weight);
  }

 private:
  const double min_threshold_;
  const bool apply_sigmoid_;
};

class NonOverlapRegularization : public AutogradLoss {
 public:
  explicit NonOverlapRegularization(const v1::NonOverlapRegularizationOptions& options)
      : cleft_masked_(options.cleft_masked()) {}

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

absl::StatusOr<std::unique_ptr<const Loss>> CreateBinaryRegularization(
    const v1::LossOptions& options) {
  const auto& own = options.binary_regularization();
  if (absl::Status status = FirstError({CheckPositive("min_threshold", own.min_threshold()),
                                        CheckFinite("min_threshold", own.min_threshold())});
      !status.ok()) {
    return status;
  }
  return std::make_unique<BinaryRegularization>(own);
}

absl::StatusOr<std::unique_ptr<const Loss>> CreateNonOverlapRegularization(
    const v1::LossOptions& options) {
  return std::make_unique<NonOverlapRegularization>(options.non_overlap_regularization());
}

}  // namespace lossd
