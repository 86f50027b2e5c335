#include "lossd/losses/regularisers/non_overlap_regularization.h"

#include <ATen/ATen.h>

#include <array>
#include <optional>

#include "lossd/base/error.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/checks.h"
#include "lossd/sweep/block_reader.h"
#include "lossd/sweep/gradient_writer.h"
#include "lossd/sweep/input_reader.h"
#include "lossd/sweep/kernels.h"
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

  std::optional<absl::StatusOr<LossResult>> ComputeFused(const LossInputs& inputs,
                                                         const Context& context) const override {
    const at::IntArrayRef sizes = inputs.pred.sizes();
    const Blocks maps(inputs.pred.narrow(1, 0, 1).sizes());
    const InputReader reader(inputs);
    const double scale = 1 / static_cast<double>(maps.groups() * maps.voxels());
    GradientWriter writer(inputs.gradient);
    if (writer.wanted()) {
      writer.PutZeros(inputs.gradient.into.narrow(1, 2, sizes[1] - 2), context);
    }
    const auto sums = Sweep<1>(maps, context, [&](const BlockRange& range) {
      std::array<float, kBlockSize> scratch[5];
      const auto of_channel = [&](int64_t c) {
        BlockRange channel = range;
        channel.channel = c;
        return channel;
      };
      const auto channel = [&](int64_t c) { return reader.Pred(of_channel(c), scratch[c].data()); };
      float* const first_gradient = writer.Block(of_channel(0), scratch[3].data());
      float* const second_gradient = writer.Block(of_channel(1), scratch[4].data());
      const double sum = NonOverlapBlock({.first = channel(0),
                                          .second = channel(1),
                                          .cleft = HasCleft(inputs) ? channel(2) : nullptr,
                                          .first_gradient = first_gradient,
                                          .second_gradient = second_gradient,
                                          .size = range.size},
                                         writer.Scale(scale));
      writer.Put(of_channel(0), first_gradient);
      writer.Put(of_channel(1), second_gradient);
      return std::array<double, 1>{sum};
    });
    double sum = 0;
    for (const auto& group : sums) sum += group[0];
    return LossResult{.value = at::scalar_tensor(sum * scale, at::kFloat),
                      .finite = writer.finite()};
  }

  const bool cleft_masked_;
};

}  // namespace

std::unique_ptr<const Loss> NonOverlapRegularization::Make() const {
  return std::make_unique<NonOverlapLoss>(*this);
}

}  // namespace lossd
