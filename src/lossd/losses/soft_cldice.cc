#include "lossd/losses/soft_cldice.h"

#include <torch/autograd.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/class_channels.h"
#include "lossd/losses/large_tensor.h"
#include "lossd/losses/overlap.h"
#include "lossd/losses/pooling.h"
#include "lossd/losses/reduction.h"
#include "lossd/losses/soft_skeleton.h"

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

// What SoftSkeleton computes, for any device and type.
at::Tensor ExpressionOfSkeleton(at::Tensor volume, int64_t num_iters) {
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

  int64_t WeightChannels(int64_t pred_channels) const override {
    if (pred_channels == 1) return 1;
    return options_.mode() == v1::CL_DICE_MODE_BINARY ? 1 : pred_channels - 1;
  }

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = CheckPrediction("pred", inputs.pred); !status.ok()) return status;
    return FirstError({CheckSize(inputs.pred), CheckChannels(inputs.pred), CheckTarget(inputs),
                       CheckWeight(inputs)});
  }

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    const absl::StatusOr<Volumes> volumes = Prepare(inputs);
    if (!volumes.ok()) return volumes.status();
    const at::Tensor sums =
        Sums(*volumes, ExpressionOfSkeleton(volumes->pred, options_.num_iters()),
             ExpressionOfSkeleton(volumes->target, options_.num_iters()));
    return Reduce(LossesOfSums(sums), options_.reduction());
  }

 private:
  // What the loss is of, [B, C, …] with the channels that count.
  struct Volumes {
    at::Tensor pred;    // Probabilities.
    at::Tensor target;  // Likewise, of the same type.
    at::Tensor weight;  // Broadcastable to them; undefined without one.
  };

  absl::StatusOr<Volumes> Prepare(const LossInputs& inputs) const {
    at::Tensor pred = inputs.pred;
    if (options_.softmax()) pred = pred.softmax(1);
    absl::StatusOr<at::Tensor> dense_target = DenseTarget(inputs);
    if (!dense_target.ok()) return dense_target.status();
    at::Tensor target = *std::move(dense_target);
    const bool bounded = options_.sigmoid() || options_.softmax() || options_.clamp_probabilities();
    if (absl::Status status =
            FirstError({bounded ? absl::OkStatus() : CheckProbabilities("pred", pred),
                        options_.clamp_probabilities() ? absl::OkStatus()
                                                       : CheckProbabilities("target", target)});
        !status.ok()) {
      return status;
    }
    Volumes volumes = {.pred = SelectCounted(pred),
                       .target = SelectCounted(target),
                       .weight = CountedWeight(inputs)};
    if (options_.sigmoid()) volumes.pred = volumes.pred.sigmoid();
    if (options_.clamp_probabilities()) {
      volumes.pred = volumes.pred.clamp(0, 1);
      volumes.target = volumes.target.clamp(0, 1);
    }
    return volumes;
  }

  // Sample by sample, for memory's sake.
  std::optional<absl::StatusOr<ValueAndGradient>> ComputeFused(const LossInputs& inputs,
                                                               TaskPool& pool) const override {
    const c10::InferenceMode no_inference_mode(false);
    const c10::AutoGradMode grad_mode(inputs.want_gradient);
    ValueAndGradient result;
    if (inputs.want_gradient) result.gradient = EmptyFloats(inputs.pred.sizes());
    std::vector<at::Tensor> losses;
    for (int64_t b = 0; b < inputs.pred.size(0); ++b) {
      const auto of_sample = [&](const at::Tensor& tensor) {
        return tensor.defined() ? tensor.narrow(0, b, 1) : tensor;
      };
      LossInputs sample = inputs;
      sample.pred = of_sample(inputs.pred);
      sample.target = of_sample(inputs.target);
      sample.weight = of_sample(inputs.weight);
      sample = Leaves(sample);
      const absl::StatusOr<Volumes> volumes = Prepare(sample);
      if (!volumes.ok()) return volumes.status();
      const ValueAndGradient channels = OfSample(*volumes, inputs.want_gradient, pool);
      losses.push_back(channels.value);
      if (!inputs.want_gradient) continue;
      const ValueAndGradient of_pred = Differentiate(volumes->pred, channels.gradient, sample);
      of_sample(result.gradient).copy_(of_pred.gradient);
    }
    const at::Tensor all = at::cat(losses);
    result.value = Reduce(all, options_.reduction()).to(at::kFloat);
    if (inputs.want_gradient && options_.reduction() == v1::REDUCTION_MEAN) {
      result.gradient.div_(static_cast<double>(all.numel()));
    }
    return result;
  }

  // The losses of the channels of one sample, [1, C], and the gradient of their sum with respect to
  // the probabilities.
  ValueAndGradient OfSample(const Volumes& volumes, bool want_gradient, TaskPool& pool) const {
    const at::Tensor pred = volumes.pred.detach();
    ValueAndGradient result;
    if (want_gradient) result.gradient = EmptyFloats(pred.sizes());
    std::vector<at::Tensor> losses;
    for (int64_t c = 0; c < pred.size(1); ++c) {
      const auto of_channel = [&](const at::Tensor& tensor) {
        return tensor.defined() ? tensor.narrow(1, tensor.size(1) == 1 ? 0 : c, 1) : tensor;
      };
      const Volumes channel = {.pred = of_channel(pred),
                               .target = of_channel(volumes.target),
                               .weight = of_channel(volumes.weight)};
      const ValueAndGradient of_pred = OfChannel(channel, want_gradient, pool);
      losses.push_back(of_pred.value);
      if (want_gradient) of_channel(result.gradient).copy_(of_pred.gradient);
    }
    result.value = at::cat(losses, 1);
    return result;
  }

  // The same of one channel, whose volumes are [1, 1, …].
  ValueAndGradient OfChannel(const Volumes& volumes, bool want_gradient, TaskPool& pool) const {
    const auto volume = [](const at::Tensor& tensor) { return tensor[0][0].contiguous(); };
    const int64_t num_iters = options_.num_iters();
    const at::Tensor target_skeleton =
        SoftSkeleton(volume(volumes.target), num_iters, pool).Value().view_as(volumes.pred);
    const SoftSkeleton skeleton(volume(volumes.pred), num_iters, pool);
    at::Tensor pred_skeleton = skeleton.Value().view_as(volumes.pred);
    at::Tensor sums = Sums(volumes, pred_skeleton, target_skeleton).to(at::kDouble);
    sums.requires_grad_(want_gradient);
    const at::Tensor losses = LossesOfSums(sums);
    ValueAndGradient result = {.value = losses.detach()};
    if (!want_gradient) return result;

    const at::Tensor of_sums = torch::autograd::grad({losses.sum()}, {sums})[0][0][0];
    const auto factor = [&](int64_t i) { return of_sums[i].item<double>(); };
    // In place of the skeleton, which has done its work.
    at::Tensor of_skeleton = std::move(pred_skeleton);
    at::mul_out(of_skeleton, Weighted(volumes.target, volumes), at::scalar_tensor(factor(0)));
    of_skeleton.add_(factor(1));
    if (volumes.weight.defined()) of_skeleton.mul_(volumes.weight);
    result.gradient = skeleton.Backward(of_skeleton[0][0]).view_as(volumes.pred);
    result.gradient.add_(Weighted(Weighted(target_skeleton, volumes), volumes), factor(2));
    return result;
  }

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
                       shaped.size(1) == WeightChannels(pred.size(1)));
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
  at::Tensor SelectCounted(const at::Tensor& values) const {
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
        weight.size(1) == pred.size(1) && weight.size(1) != WeightChannels(pred.size(1));
    return of_prediction ? SelectCounted(weight) : weight;
  }

  static at::Tensor Weighted(const at::Tensor& x, const Volumes& volumes) {
    return volumes.weight.defined() ? x * volumes.weight : x;
  }

  // Per sample and channel, [B, C, 4]: how much of the prediction's skeleton lies in the target,
  // how much there is of it, and the same of the target's skeleton in the prediction.
  static at::Tensor Sums(const Volumes& volumes, const at::Tensor& pred_skeleton,
                         const at::Tensor& target_skeleton) {
    const std::vector<int64_t> space = SummedDims(volumes.pred.dim(), /*batch=*/false);
    const at::Tensor of_pred = Weighted(pred_skeleton, volumes);
    const at::Tensor of_target = Weighted(target_skeleton, volumes);
    return at::stack(
        {(of_pred * Weighted(volumes.target, volumes)).sum(space), of_pred.sum(space),
         (of_target * Weighted(volumes.pred, volumes)).sum(space), of_target.sum(space)},
        -1);
  }

  // Per sample and channel.
  at::Tensor LossesOfSums(const at::Tensor& sums) const {
    const at::Tensor smoothed = sums + options_.smooth();
    const at::Tensor precision = smoothed.select(-1, 0) / smoothed.select(-1, 1);
    const at::Tensor sensitivity = smoothed.select(-1, 2) / smoothed.select(-1, 3);
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
