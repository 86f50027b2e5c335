#include "lossd/losses/soft_cldice.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/class_channels.h"
#include "lossd/losses/overlap.h"
#include "lossd/losses/pooling.h"
#include "lossd/losses/reduction.h"

namespace lossd {
namespace {

// Each iteration keeps several volumes for the gradient, and objects are thinned to nothing long
// before: publications take 3 to 50.
constexpr int64_t kMaxIterations = 100;

// The minimum over the windows of 3 along each axis.
at::Tensor SoftErode(const at::Tensor& volume) {
  const int64_t axes = volume.dim() - 2;
  at::Tensor eroded;
  for (int64_t axis = 0; axis < axes; ++axis) {
    std::vector<int64_t> window(axes, 1);
    window[axis] = 3;
    const at::Tensor along_axis = MinPool(volume, window);
    eroded = eroded.defined() ? at::minimum(eroded, along_axis) : along_axis;
  }
  return eroded;
}

// What an opening (erosion, then dilation) of the eroded volume removes.
at::Tensor Removed(const at::Tensor& volume, const at::Tensor& eroded) {
  const std::vector<int64_t> window(volume.dim() - 2, 3);
  return (volume - MaxPool(eroded, window)).relu();
}

at::Tensor SoftSkeleton(at::Tensor volume, int64_t num_iters) {
  at::Tensor eroded = SoftErode(volume);
  at::Tensor skeleton = Removed(volume, eroded);
  for (int64_t i = 0; i < num_iters; ++i) {
    volume = eroded;
    eroded = SoftErode(volume);
    const at::Tensor delta = Removed(volume, eroded);
    skeleton = skeleton + (delta - skeleton * delta).relu();
  }
  return skeleton;
}

class SoftClDiceLoss : public AutogradLoss {
 public:
  explicit SoftClDiceLoss(v1::SoftClDiceLossOptions options) : options_(std::move(options)) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = CheckPrediction("pred", inputs.pred); !status.ok()) return status;
    return FirstError({CheckSize(inputs.pred), CheckChannels(inputs.pred), CheckTarget(inputs),
                       CheckWeight(inputs)});
  }

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    at::Tensor pred = inputs.pred;
    if (options_.sigmoid()) pred = pred.sigmoid();
    if (options_.softmax()) pred = pred.softmax(1);
    absl::StatusOr<at::Tensor> dense_target = DenseTarget(inputs);
    if (!dense_target.ok()) return dense_target;
    at::Tensor target = *std::move(dense_target);
    if (options_.clamp_probabilities()) {
      pred = pred.clamp(0, 1);
      target = target.clamp(0, 1);
    }
    if (absl::Status status =
            FirstError({CheckProbabilities("pred", pred), CheckProbabilities("target", target)});
        !status.ok()) {
      return status;
    }
    pred = CountedChannels(pred);
    target = CountedChannels(target);
    const at::Tensor losses =
        Losses(pred, target, SoftSkeleton(pred, options_.num_iters()),
               SoftSkeleton(target, options_.num_iters()), CountedWeight(inputs));
    return Reduce(losses, options_.reduction());
  }

 private:
  absl::Status CheckSize(const at::Tensor& pred) const {
    if (!options_.validate_inputs()) return absl::OkStatus();
    for (const int64_t size : pred.sizes().slice(2)) {
      if (size < 3) {
        return FieldError("pred", absl::StrCat("shape ", ShapeText(pred)),
                          "at least 3 along each spatial dimension");
      }
    }
    return absl::OkStatus();
  }

  absl::Status CheckChannels(const at::Tensor& pred) const {
    const int64_t channels = pred.size(1);
    if (options_.softmax() && channels < 2) {
      return FieldError("pred", "1 channel", "at least 2 for a softmax");
    }
    if (channels == 1) return absl::OkStatus();
    if (options_.mode() == v1::CL_DICE_MODE_BINARY &&
        (options_.foreground_channel() < 0 || options_.foreground_channel() >= channels)) {
      return FieldError("kwargs.foreground_channel", absl::StrCat(options_.foreground_channel()),
                        absl::StrCat("one of the channels 0 to ", channels - 1));
    }
    if (options_.mode() == v1::CL_DICE_MODE_MULTI &&
        (options_.background_index() < -channels || options_.background_index() >= channels)) {
      return FieldError("kwargs.background_index", absl::StrCat(options_.background_index()),
                        absl::StrCat("one of the channels ", -channels, " to ", channels - 1));
    }
    return absl::OkStatus();
  }

  static bool IsDense(const LossInputs& inputs) {
    return inputs.target.sizes() == inputs.pred.sizes();
  }

  static absl::Status CheckTarget(const LossInputs& inputs) {
    if (inputs.target.defined() && IsDense(inputs)) {
      return CheckLikePrediction("target", inputs.target, inputs.pred);
    }
    return CheckClassTarget(inputs.target, inputs.pred);
  }

  absl::Status CheckWeight(const LossInputs& inputs) const {
    const at::Tensor& weight = inputs.weight;
    if (!weight.defined()) return absl::OkStatus();
    const at::Tensor& pred = inputs.pred;
    const at::Tensor shaped = weight.dim() == pred.dim() - 1 ? weight.unsqueeze(1) : weight;
    const bool fits = shaped.dim() == pred.dim() && shaped.size(0) == pred.size(0) &&
                      shaped.sizes().slice(2) == pred.sizes().slice(2) &&
                      (shaped.size(1) == 1 || shaped.size(1) == pred.size(1) ||
                       shaped.size(1) == CountedChannels(pred).size(1));
    if (fits && weight.device() == pred.device()) return absl::OkStatus();
    return FieldError(
        "weight", absl::StrCat("shape ", ShapeText(weight), " on ", weight.device().str()),
        absl::StrCat("that of the prediction, ", ShapeText(pred), " on ", pred.device().str(),
                     ", with 1 channel, its channels or those that count"));
  }

  absl::Status CheckProbabilities(absl::string_view field, const at::Tensor& values) const {
    if (!options_.validate_inputs()) return absl::OkStatus();
    const auto [low, high] = values.detach().aminmax();
    const double tolerance = options_.validation_tolerance();
    // NaN passes: what is not finite is reported as such.
    if (!(low.item<double>() < -tolerance) && !(high.item<double>() > 1 + tolerance)) {
      return absl::OkStatus();
    }
    return FieldError(field,
                      absl::StrCat("values from ", low.item<double>(), " to ", high.item<double>()),
                      "probabilities in [0, 1]; set sigmoid or softmax for logits");
  }

  // The target as probabilities of the prediction's channels.
  static absl::StatusOr<at::Tensor> DenseTarget(const LossInputs& inputs) {
    const at::ScalarType type = inputs.pred.scalar_type();
    const int64_t channels = inputs.pred.size(1);
    if (IsDense(inputs)) return inputs.target.to(type);
    if (channels == 1) return inputs.target.to(type).unsqueeze(1);
    const at::Tensor indices = ClassIndices(inputs.target, inputs.pred);
    if (absl::Status status = CheckClassIndices(indices, channels); !status.ok()) return status;
    return OneHot(indices.unsqueeze(1), channels).to(type);
  }

  // Those of the channels [B, C, …] that count.
  at::Tensor CountedChannels(const at::Tensor& values) const {
    const int64_t channels = values.size(1);
    if (channels == 1) return values;
    if (options_.mode() == v1::CL_DICE_MODE_BINARY) {
      return values.narrow(1, options_.foreground_channel(), 1);
    }
    const int64_t background = (options_.background_index() + channels) % channels;
    return at::cat({values.narrow(1, 0, background),
                    values.narrow(1, background + 1, channels - background - 1)},
                   1);
  }

  // Broadcastable to the channels that count; undefined without a weight.
  at::Tensor CountedWeight(const LossInputs& inputs) const {
    if (!inputs.weight.defined()) return {};
    const at::Tensor& pred = inputs.pred;
    at::Tensor weight = inputs.weight.to(pred.scalar_type());
    if (weight.dim() == pred.dim() - 1) weight = weight.unsqueeze(1);
    if (options_.clamp_probabilities()) weight = weight.clamp_min(0);
    // Where as many channels count as there are but one, it is the ones that count.
    const bool of_prediction =
        weight.size(1) == pred.size(1) && weight.size(1) != CountedChannels(pred).size(1);
    return of_prediction ? CountedChannels(weight) : weight;
  }

  // Per sample and channel.
  at::Tensor Losses(const at::Tensor& pred, const at::Tensor& target,
                    const at::Tensor& pred_skeleton, const at::Tensor& target_skeleton,
                    const at::Tensor& weight) const {
    const std::vector<int64_t> space = SummedDims(pred.dim(), /*batch=*/false);
    const auto weighted = [&](const at::Tensor& x) { return weight.defined() ? x * weight : x; };
    // How much of the skeleton lies in the volume.
    const auto inside = [&](const at::Tensor& skeleton, const at::Tensor& volume) {
      const at::Tensor weighted_skeleton = weighted(skeleton);
      return ((weighted_skeleton * weighted(volume)).sum(space) + options_.smooth()) /
             (weighted_skeleton.sum(space) + options_.smooth());
    };
    const at::Tensor precision = inside(pred_skeleton, target);
    const at::Tensor sensitivity = inside(target_skeleton, pred);
    return 1 - 2 * precision * sensitivity / (precision + sensitivity + options_.smooth());
  }

  const v1::SoftClDiceLossOptions options_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Loss>> CreateSoftClDiceLoss(const v1::LossOptions& options) {
  const auto& own = options.soft_cl_dice();
  if (absl::Status status = FirstError(
          {CheckReduction(own.reduction()), CheckActivation(own.sigmoid(), own.softmax()),
           CheckPositive("smooth", own.smooth()), CheckFinite("smooth", own.smooth()),
           CheckNotNegative("validation_tolerance", own.validation_tolerance())});
      !status.ok()) {
    return status;
  }
  if (own.num_iters() < 0 || own.num_iters() > kMaxIterations) {
    return FieldError("num_iters", absl::StrCat(own.num_iters()),
                      absl::StrCat("0 to ", kMaxIterations));
  }
  if (own.mode() == v1::CL_DICE_MODE_UNSPECIFIED) {
    return FieldError("mode", "nothing", "binary or multi");
  }
  return std::make_unique<SoftClDiceLoss>(own);
}

}  // namespace lossd
