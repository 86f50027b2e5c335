#include "lossd/losses/overlap/soft_cldice.h"

#include <ATen/core/grad_mode.h>
#include <torch/autograd.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/device/kernels.h"
#include "lossd/device/neighbours.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/overlap/overlap.h"
#include "lossd/losses/reduction.h"
#include "lossd/sweep/class_channels.h"
#include "lossd/sweep/flat/volumes.h"
#include "lossd/sweep/gradient_writer.h"
#include "lossd/sweep/input_reader.h"
#include "lossd/sweep/kernels.h"
#include "lossd/sweep/pooling.h"
#include "lossd/sweep/skeleton_kernels.h"
#include "lossd/sweep/slabs.h"
#include "lossd/sweep/soft_skeleton.h"
#include "lossd/tensor/large_tensor.h"

namespace lossd {
namespace {

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

// What ForEachSkeletonPlane computes, for any device and type.
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

// σ that is the same for the same logits, on every device. LibTorch's is another for the last few
// of a tensor, which do not fill a vector, and the least bit of difference decides who has a
// minimum.
class EvenSigmoid : public torch::autograd::Function<EvenSigmoid> {
 public:
  // NOLINTBEGIN(readability-identifier-naming): as LibTorch wants them.
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& logits) {
    const at::Tensor sigmoid = Of(logits.contiguous());
    context->save_for_backward({sigmoid});
    return sigmoid;
  }
  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    return {at::sigmoid_backward(gradients[0], context->get_saved_variables()[0])};
  }
  // NOLINTEND(readability-identifier-naming)

 private:
  static at::Tensor Of(const at::Tensor& logits) {
    if (!logits.is_cpu()) return SigmoidOnGpu(logits);
    at::Tensor sigmoid = EmptyLarge(logits.sizes());
    SigmoidBlock(logits.const_data_ptr<float>(), logits.numel(), sigmoid.mutable_data_ptr<float>());
    return sigmoid;
  }
};

at::Tensor Sigmoid(const at::Tensor& logits) {
  return logits.scalar_type() == at::kFloat ? EvenSigmoid::apply(logits) : logits.sigmoid();
}

class SoftClDiceLoss : public AutogradLoss {
 public:
  explicit SoftClDiceLoss(const SoftClDice& options) : options_(options) {}

  int64_t ScratchBytes(const LossShape& shape) const override {
    // Of a sample: probabilities, target and gradients, each with what it is made of; of a channel
    // whose turn it is, the target and the planes that are kept (soft_skeleton.h).
    const int64_t volume = shape.voxels();
    const int64_t depth = volume / shape.plane();
    const int64_t levels = options_.num_iters + 1;
    const int64_t planes =
        std::min(levels * (levels + 3) + 3 * levels * (levels + 2), 4 * levels * (depth + 1));
    const int64_t at_a_time = std::min<int64_t>(shape.threads, shape.channels());
    const int64_t floats = 12 * shape.channels() * volume +
                           at_a_time * (3 * volume + (planes + levels) * shape.plane());
    return AutogradLoss::ScratchBytes(shape) + floats * static_cast<int64_t>(sizeof(float));
  }

  int64_t GpuScratchBytes(const LossShape& shape) const override {
    // Of a part: erosions and skeletons, gradients of two levels, what dilations chose, sums. Of
    // all that counts: probabilities, target and gradient; of a sample, what its activation makes.
    const int64_t of_part = 8 * (options_.num_iters + 1) + 2 * 10 + 1 + 1;
    const int64_t volumes = shape.samples() * WeightChannels(shape.channels());
    constexpr int64_t kFloat = sizeof(float);
    return of_part * flat::ElementsOfPart(volumes, shape.voxels()) +
           (shape.masked ? 4 : 3) * kFloat * volumes * shape.voxels() +
           4 * kFloat * shape.channels() * shape.voxels();
  }

  double Cost(const LossShape& shape) const override {
    // Of prediction and target, there and back.
    constexpr double kOnce = 16;
    constexpr double kErosion = 2;
    return (kOnce + kErosion * static_cast<double>(options_.num_iters)) *
           static_cast<double>(shape.elements());
  }

  int64_t WeightChannels(int64_t pred_channels) const override {
    if (pred_channels == 1) return 1;
    return options_.mode == ClDiceMode::kBinary ? 1 : pred_channels - 1;
  }

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = CheckPrediction("pred", inputs.pred); !status.ok()) return status;
    return FirstError({CheckSize(inputs.pred), CheckChannels(inputs.pred), CheckTarget(inputs),
                       CheckWeight(inputs)});
  }

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    TaskPool alone(1);
    absl::StatusOr<Volumes> volumes = Prepare(inputs, alone);
    if (!volumes.ok()) return volumes.status();
    volumes->pred = Probabilities(volumes->pred);
    volumes->target = TargetProbabilities(volumes->target, volumes->pred.scalar_type());
    const at::Tensor sums = Sums(*volumes, ExpressionOfSkeleton(volumes->pred, options_.num_iters),
                                 ExpressionOfSkeleton(volumes->target, options_.num_iters));
    return Reduce(LossesOfSums(sums), options_.reduction);
  }

 private:
  // What the loss is of, [B, C, …] with the channels that count.
  struct Volumes {
    at::Tensor pred;    // Probabilities.
    at::Tensor target;  // In its own type, see TargetProbabilities.
    at::Tensor weight;  // Broadcastable to them; undefined without one.
  };

  // From a prediction that is wide enough and clamped: its probabilities are Probabilities(pred).
  absl::StatusOr<Volumes> Prepare(const LossInputs& inputs, const Context& context) const {
    absl::StatusOr<at::Tensor> target = DenseTarget(inputs, context);
    if (!target.ok()) return target.status();
    if (absl::Status status =
            FirstError({IsActivated() || options_.clamp_probabilities
                            ? absl::OkStatus()
                            : CheckProbabilities("pred", inputs.pred,
                                                 "probabilities in [0, 1]; set sigmoid or "
                                                 "softmax for logits",
                                                 context),
                        options_.clamp_probabilities
                            ? absl::OkStatus()
                            : CheckProbabilities("target", *target,
                                                 "0 for background to 1 for the object; several "
                                                 "classes need a channel each",
                                                 context)});
        !status.ok()) {
      return status;
    }
    return Volumes{.pred = inputs.pred,
                   .target = CountedInSlabs(*target, context),
                   .weight = CountedWeight(inputs, context)};
  }

  bool IsActivated() const { return options_.sigmoid || options_.softmax; }

  // Of the channels that count. Those of a voxel depend on its own logits only.
  at::Tensor Probabilities(const at::Tensor& pred) const {
    at::Tensor counted = SelectCounted(options_.softmax ? pred.softmax(1) : pred);
    if (options_.sigmoid) counted = Sigmoid(counted);
    return options_.clamp_probabilities ? counted.clamp(0, 1) : counted;
  }

  // Of a channel or all: whole volumes of one-hot classes are bytes until then.
  at::Tensor TargetProbabilities(const at::Tensor& target, at::ScalarType type) const {
    const at::Tensor typed = target.to(type);
    return options_.clamp_probabilities ? typed.clamp(0, 1) : typed;
  }

  // A copy only where there is something to do.
  at::Tensor TargetInSlabs(const at::Tensor& target, const Context& context) const {
    if (!options_.clamp_probabilities) return ToType(target, at::kFloat, context);
    return MapSlabs(target, {}, at::kFloat, context,
                    [&](const at::Tensor& part, const at::Tensor& /*none*/) {
                      return TargetProbabilities(part, at::kFloat);
                    });
  }

  // Likewise.
  at::Tensor ProbabilitiesInSlabs(const at::Tensor& pred, const Context& context) const {
    if (!IsActivated() && !options_.clamp_probabilities) return CountedInSlabs(pred, context);
    const at::Tensor voxels = pred.flatten(2);
    // Slabs of all channels, though not all may be counted.
    const at::Tensor probabilities = at::empty(CountedSizes(voxels), pred.options());
    ForEachSlab(voxels.sizes(), context, [&](const Slab& slab) {
      slab.Of(probabilities).copy_(Probabilities(slab.Of(voxels)));
      return absl::OkStatus();
    }).IgnoreError();
    return probabilities.view(CountedSizes(pred));
  }

  // Writes what the gradient with respect to the probabilities says of the prediction, and returns
  // whether that is finite. It may lie where it is written to, where all channels count.
  bool PassOnGradient(const at::Tensor& pred, const at::Tensor& of_probabilities,
                      const GradientInto& gradient, const Context& context) const {
    const at::Tensor voxels = pred.flatten(2);
    const at::Tensor given = of_probabilities.flatten(2);
    const at::Tensor place = gradient.into.flatten(2);
    GradientWriter writer(gradient);
    ForEachSlab(voxels.sizes(), context, [&](const Slab& slab) {
      const c10::InferenceMode no_inference_mode(false);
      const c10::AutoGradMode grad_mode(true);
      LossInputs leaf;
      leaf.pred = slab.Of(voxels).detach().requires_grad_();
      const at::Tensor passed_on =
          Differentiate(Probabilities(leaf.pred), slab.Of(given), leaf).pred;
      writer.PutPart(slab.Of(place), passed_on.detach() * gradient.factor);
      return absl::OkStatus();
    }).IgnoreError();
    return writer.finite();
  }

  // Sample by sample, for memory's sake.
  std::optional<absl::StatusOr<LossResult>> ComputeFused(const LossInputs& inputs,
                                                         const Context& context) const override {
    const bool want_gradient = inputs.gradient.wanted();
    LossResult result;
    std::vector<at::Tensor> losses;
    for (int64_t b = 0; b < inputs.pred.size(0); ++b) {
      const auto of_sample = [&](const at::Tensor& tensor) {
        return tensor.defined() ? tensor.narrow(0, b, 1) : tensor;
      };
      LossInputs sample = inputs;
      sample.pred = WidenAndClamp(of_sample(inputs.pred), inputs.clamp, context);
      sample.target = of_sample(inputs.target);
      sample.weight = of_sample(inputs.weight);
      absl::StatusOr<Volumes> volumes = Prepare(sample, context);
      if (!volumes.ok()) return volumes.status();
      volumes->pred = ProbabilitiesInSlabs(sample.pred, context);
      GradientInto into = inputs.gradient;
      into.into = of_sample(into.into);
      if (options_.reduction == Reduction::kMean) {
        into.factor /= static_cast<double>(inputs.pred.size(0) * volumes->pred.size(1));
      }
      // Where all channels count, the gradient's own place holds that of the probabilities.
      at::Tensor of_probabilities;
      if (want_gradient) {
        const bool fits = volumes->pred.sizes() == into.into.sizes();
        of_probabilities =
            fits && GradientWriter(into).in_place() ? into.into : EmptyLarge(volumes->pred.sizes());
      }
      losses.push_back(OfSample(*volumes, of_probabilities, context));
      if (absl::Status status = context.status(); !status.ok()) return status;
      if (!want_gradient) continue;
      result.finite = PassOnGradient(sample.pred, of_probabilities, into, context) && result.finite;
    }
    const at::Tensor all = at::cat(losses);
    result.value = Reduce(all, options_.reduction).to(at::kFloat);
    return result;
  }

  std::optional<absl::StatusOr<LossResult>> ComputeOnGpu(const LossInputs& inputs,
                                                         const Context& context) const override {
    const int64_t voxels = c10::multiply_integers(inputs.pred.sizes().slice(2));
    if (voxels >= flat::kMostElements) return std::nullopt;
    LossInputs whole = inputs;
    whole.pred = WidenAndClamp(inputs.pred, inputs.clamp);
    const absl::StatusOr<Volumes> volumes = Prepare(whole, context);
    if (!volumes.ok()) return volumes.status();
    const at::Tensor pred = Probabilities(whole.pred).contiguous();
    const at::Tensor of_pred = inputs.gradient.wanted() ? at::empty_like(pred) : at::Tensor();
    const at::Tensor sums = OverlapSkeletonsOnGpu(
        {.pred = pred,
         .target = TargetProbabilities(volumes->target, at::kFloat).contiguous(),
         .weight = volumes->weight,
         .num_iters = options_.num_iters,
         .gradient = of_pred},
        [&](const at::Tensor& some) { return DerivativeOfLosses(some); }, context);
    const at::Tensor losses = LossesOfSums(sums).view({pred.size(0), pred.size(1)});
    LossResult result = {.value = Reduce(losses, options_.reduction).to(at::kFloat)};
    if (!inputs.gradient.wanted()) return result;
    GradientInto into = inputs.gradient;
    if (options_.reduction == Reduction::kMean) into.factor /= static_cast<double>(losses.numel());
    result.finite = PassOnGradient(whole.pred, of_pred, into, context);
    return result;
  }

  // The losses of the channels of one sample, [1, C]; undefined when the context is cancelled.
  // Writes the gradient of their sum with respect to the probabilities, unless it is undefined.
  at::Tensor OfSample(const Volumes& volumes, const at::Tensor& gradient,
                      const Context& context) const {
    const int64_t channels = volumes.pred.size(1);
    std::vector<at::Tensor> losses(channels);
    context.ParallelFor(channels, 1, [&](int64_t c, int64_t /*end*/) {
      const auto of_channel = [&](const at::Tensor& tensor) {
        return tensor.defined() ? tensor.detach()[0][tensor.size(1) == 1 ? 0 : c] : tensor;
      };
      float* const of_pred = gradient.defined() ? gradient.mutable_data_ptr<float>() +
                                                      c * (gradient.numel() / channels)
                                                : nullptr;
      losses[c] = OfChannel({.pred = of_channel(volumes.pred),
                             .target = TargetInSlabs(volumes.target.narrow(1, c, 1), context)[0][0],
                             .weight = of_channel(volumes.weight)},
                            of_pred, context);
    });
    return context.Cancelled() ? at::Tensor() : at::stack(losses).view({1, channels});
  }

  // The same of one channel, whose volumes are [Z, Y, X] or [Y, X]. A scalar.
  at::Tensor OfChannel(const Volumes& volumes, float* gradient, const Context& context) const {
    const VolumeShape shape = ShapeOf(volumes.pred);
    const int64_t plane_size = shape.plane.voxels();
    const at::Tensor contiguous[] = {
        volumes.pred.contiguous(), volumes.target.contiguous(),
        volumes.weight.defined() ? volumes.weight.contiguous() : at::Tensor()};
    const auto* const pred = contiguous[0].const_data_ptr<float>();
    const auto* const target = contiguous[1].const_data_ptr<float>();
    const auto* const weights =
        volumes.weight.defined() ? contiguous[2].const_data_ptr<float>() : nullptr;
    const auto plane_of = [&](auto* volume, int64_t z) {
      return volume == nullptr ? nullptr : volume + z * plane_size;
    };
    const int64_t num_iters = options_.num_iters;
    SkeletonSums of_pred;
    SkeletonSums of_target;
    ForEachSkeletonPlane(shape, target, num_iters, context, [&](int64_t z, const float* skeleton) {
      of_target += SumSkeletonBlock(skeleton, plane_of(pred, z), plane_of(weights, z), plane_size,
                                    plane_of(gradient, z));
    });
    ForEachSkeletonPlane(shape, pred, num_iters, context, [&](int64_t z, const float* skeleton) {
      of_pred += SumSkeletonBlock(skeleton, plane_of(target, z), plane_of(weights, z), plane_size,
                                  /*of_other=*/nullptr);
    });
    const at::Tensor sums = at::tensor(
        std::vector<double>{of_pred.within, of_pred.total, of_target.within, of_target.total},
        at::kDouble);
    at::Tensor loss = LossesOfSums(sums);
    if (gradient == nullptr) return loss;

    const at::Tensor of_sums = DerivativeOfLosses(sums);
    const auto of_pred_within = of_sums[0].item<double>();
    const auto of_pred_total = of_sums[1].item<double>();
    const auto of_target_within = static_cast<float>(of_sums[2].item<double>());
    // By way of the target's skeleton, then of the prediction's.
    context.ParallelFor(volumes.pred.numel(), 1 << 16, [&](int64_t begin, int64_t end) {
      for (int64_t v = begin; v < end; ++v) gradient[v] *= of_target_within;
    });
    AddSkeletonGradient(
        shape, pred, num_iters, context,
        [&](int64_t z, float* of_skeleton) {
          SkeletonGradientBlock(plane_of(target, z), plane_of(weights, z), of_pred_within,
                                of_pred_total, plane_size, of_skeleton);
        },
        gradient);
    return loss;
  }

  static VolumeShape ShapeOf(const at::Tensor& volume) {
    const bool has_z = volume.dim() == 3;
    return {.plane = {.y = volume.size(-2), .x = volume.size(-1), .has_z = has_z},
            .z = has_z ? volume.size(0) : 1};
  }

  absl::Status CheckSize(const at::Tensor& pred) const {
    if (!options_.validate_inputs) return absl::OkStatus();
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
    if (options_.softmax && channels < 2) {
      return FieldError("pred", "1 channel", "at least 2 for a softmax");
    }
    if (channels == 1) return absl::OkStatus();
    if (options_.mode == ClDiceMode::kBinary &&
        (options_.foreground_channel < 0 || options_.foreground_channel >= channels)) {
      return FieldError("kwargs.foreground_channel", absl::StrCat(options_.foreground_channel),
                        absl::StrCat("one of the channels 0 to ", channels - 1));
    }
    if (options_.mode == ClDiceMode::kMulti &&
        (options_.background_index < -channels || options_.background_index >= channels)) {
      return FieldError("kwargs.background_index", absl::StrCat(options_.background_index),
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

  absl::Status CheckProbabilities(absl::string_view field, const at::Tensor& values,
                                  absl::string_view expected, const Context& context) const {
    if (!options_.validate_inputs) return absl::OkStatus();
    const auto [low, high] = RangeOf(values.detach(), context);
    const double tolerance = options_.validation_tolerance;
    // NaN passes: what is not finite is reported as such.
    if (!(low < -tolerance) && !(high > 1 + tolerance)) return absl::OkStatus();
    return FieldError(field, absl::StrCat("values from ", low, " to ", high), expected);
  }

  // The target in the prediction's channels.
  static absl::StatusOr<at::Tensor> DenseTarget(const LossInputs& inputs, const Context& context) {
    if (IsDense(inputs)) return inputs.target;
    if (inputs.pred.size(1) == 1) return inputs.target.unsqueeze(1);
    return OneHotTarget(inputs, context);
  }

  // Those of the channels [B, C, …] that count.
  at::Tensor SelectCounted(const at::Tensor& values) const {
    const int64_t channels = values.size(1);
    if (channels == 1) return values;
    if (options_.mode == ClDiceMode::kBinary) {
      return values.narrow(1, options_.foreground_channel, 1);
    }
    const int64_t background = (options_.background_index + channels) % channels;
    return at::cat({values.narrow(1, 0, background),
                    values.narrow(1, background + 1, channels - background - 1)},
                   1);
  }

  // Of whole volumes; a copy only where several count.
  at::Tensor CountedInSlabs(const at::Tensor& values, const Context& context) const {
    if (values.size(1) == 1 || options_.mode == ClDiceMode::kBinary) return SelectCounted(values);
    return FromSlabs(CountedSizes(values), values.options(), context,
                     [&](const Slab& slab) { return SelectCounted(slab.Of(values)); });
  }

  std::vector<int64_t> CountedSizes(const at::Tensor& values) const {
    std::vector<int64_t> sizes = values.sizes().vec();
    sizes[1] = WeightChannels(sizes[1]);
    return sizes;
  }

  // Broadcastable to the channels that count; undefined without a weight.
  at::Tensor CountedWeight(const LossInputs& inputs, const Context& context) const {
    if (!inputs.weight.defined()) return {};
    const at::Tensor& pred = inputs.pred;
    at::Tensor weight = inputs.weight;
    if (weight.dim() == pred.dim() - 1) weight = weight.unsqueeze(1);
    weight = ToType(weight, pred.scalar_type(), context);
    if (options_.clamp_probabilities) {
      weight = MapSlabs(
          weight, {}, weight.scalar_type(), context,
          [](const at::Tensor& part, const at::Tensor& /*none*/) { return part.clamp_min(0); });
    }
    // Where as many channels count as there are but one, it is the ones that count.
    const bool of_prediction =
        weight.size(1) == pred.size(1) && weight.size(1) != WeightChannels(pred.size(1));
    return of_prediction ? CountedInSlabs(weight, context) : weight;
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
    const at::Tensor smoothed = sums + options_.smooth;
    const at::Tensor precision = smoothed.select(-1, 0) / smoothed.select(-1, 1);
    const at::Tensor sensitivity = smoothed.select(-1, 2) / smoothed.select(-1, 3);
    return 1 - 2 * precision * sensitivity / (precision + sensitivity + options_.smooth);
  }

  // That of their sum.
  at::Tensor DerivativeOfLosses(const at::Tensor& sums) const {
    const c10::InferenceMode no_inference_mode(false);
    const c10::AutoGradMode grad_mode(true);
    const at::Tensor leaf = sums.clone().requires_grad_();
    return torch::autograd::grad({LossesOfSums(leaf).sum()}, {leaf})[0];
  }

  const SoftClDice options_;
};

}  // namespace

std::unique_ptr<const Loss> SoftClDice::Make() const {
  return std::make_unique<SoftClDiceLoss>(*this);
}

}  // namespace lossd
