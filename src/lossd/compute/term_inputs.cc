#include "lossd/compute/term_inputs.h"

#include <cstdint>
#include <vector>

#include "lossd/compute/class_balance.h"
#include "lossd/compute/resize.h"
#include "lossd/sweep/input_reader.h"
#include "lossd/sweep/slabs.h"

namespace lossd {
namespace {

at::Tensor Select(const at::Tensor& tensor, const ChannelRange& channels) {
  return Part(tensor, 1, channels.start, channels.size());
}

// Labels as a loss takes them: doubles are computed on as floats.
at::Tensor Target(const Evaluation& evaluation, const Batch& batch, at::IntArrayRef size,
                  const Context& context) {
  at::Tensor target = Select(batch.labels, evaluation.target_channels);
  if (target.scalar_type() == at::kDouble) target = ToType(target, at::kFloat, context);
  const bool class_index = evaluation.term->spec.target_kind == TargetKind::kClassIndex;
  return class_index ? ResizeNearest(target, size, context) : ResizeDense(target, size, context);
}

// The batch's mask at a prediction's size; one for all samples counts for each.
at::Tensor OfEachSample(const Batch& batch, at::IntArrayRef size, const Context& context) {
  const at::Tensor mask = ResizeNearest(batch.mask, size, context);
  std::vector<int64_t> sizes = mask.sizes().vec();
  sizes[0] = batch.predictions.front().tensor.size(0);
  return mask.expand(sizes);
}

// The masks of one term at a prediction's size, or undefined.
struct Masks {
  at::Tensor weight;  // The product of the term's mask and the batch's, float32.
  bool has_term_mask = false;
  at::Tensor known;  // The label_mask of the target's channels, bool.
};

Masks MakeMasks(const Evaluation& evaluation, const Batch& batch, at::IntArrayRef size,
                const Context& context) {
  Masks masks;
  if (evaluation.mask_channels.has_value()) {
    masks.has_term_mask = true;
    masks.weight =
        ToType(ResizeDense(Select(batch.labels, *evaluation.mask_channels), size, context),
               at::kFloat, context);
  }
  if (batch.mask.defined()) {
    const at::Tensor mask = ToType(OfEachSample(batch, size, context), at::kFloat, context);
    masks.weight =
        masks.has_term_mask ? MapSlabs(masks.weight, mask, at::kFloat, context, &Product) : mask;
  }
  const bool has_target = evaluation.term->spec.call_kind == CallKind::kPredTarget;
  if (has_target && batch.label_mask.defined()) {
    const at::Tensor known = Select(batch.label_mask, evaluation.target_channels);
    masks.known = ResizeKnown(ToType(known, at::kBool, context), size, context);
  }
  return masks;
}

// Where all masks are; undefined: everywhere.
at::Tensor Seen(const Masks& masks, const Context& context) {
  if (!masks.weight.defined()) return masks.known;
  return MapSlabs(masks.weight, masks.known, at::kBool, context,
                  [](const at::Tensor& weight, const at::Tensor& known) {
                    const at::Tensor weighted = weight > 0;
                    return known.defined() ? weighted.logical_and(known) : weighted;
                  });
}

bool WeighsPositives(const Term& spec) {
  return spec.loss->traits().pos_weight_use == PosWeightUse::kWeighsPositives;
}

// The weight of positives, where the plan rather than the loss says what it is.
std::optional<double> PositivesWeight(const Term& spec, const at::Tensor& target,
                                      const Masks& masks, const Context& context) {
  if (!WeighsPositives(spec) || !spec.pos_weight.has_value()) return std::nullopt;
  if (spec.pos_weight->automatic()) {
    return AutoPosWeight(CountClasses(target, Seen(masks, context), context));
  }
  const bool own = spec.loss->OwnPosWeight().has_value();
  if (own || spec.pos_weight->value == 1) return std::nullopt;
  return spec.pos_weight->value;
}

// Class weights of a supervised term without a mask of its own. Weights of 1 are left out: losses
// take a weight of ones and none alike.
std::optional<ClassWeights> BalancingWeights(const Term& spec, const at::Tensor& target,
                                             const Masks& masks, const Context& context) {
  const bool balances = spec.spatial_weight_arg == SpatialWeightArg::kWeight &&
                        !WeighsPositives(spec) && !masks.has_term_mask;
  if (!balances) return std::nullopt;
  const ClassWeights weights =
      ClassWeightsOf(*spec.pos_weight, target, Seen(masks, context), context);
  if (weights.AreOne()) return std::nullopt;
  return weights;
}

}  // namespace

LossInputs MakeTermInputs(const Evaluation& evaluation, const Batch& batch,
                          const std::optional<ClampRange>& clamp, double clamp_min,
                          const Context& context) {
  const Term& spec = evaluation.term->spec;
  const at::Tensor& pred = batch.predictions[evaluation.pred].tensor;
  const at::IntArrayRef size = pred.sizes().slice(2);
  const bool takes_weight = spec.spatial_weight_arg != SpatialWeightArg::kNone;
  LossInputs inputs;
  inputs.crop_origin = evaluation.crop_origin;
  inputs.pred = Select(pred, evaluation.pred_channels);
  inputs.clamp = clamp;
  const Masks masks = MakeMasks(evaluation, batch, size, context);
  if (spec.call_kind != CallKind::kPredTarget) {
    if (spec.call_kind == CallKind::kPredPred) {
      inputs.pred2 = Select(batch.predictions[evaluation.pred2].tensor, evaluation.pred2_channels);
    }
    if (takes_weight) inputs.weight = masks.weight;
    return inputs;
  }

  inputs.target = Target(evaluation, batch, size, context);
  inputs.pos_weight = PositivesWeight(spec, inputs.target, masks, context);
  if (takes_weight) {
    inputs.weight = masks.weight;
    inputs.class_weights = BalancingWeights(spec, inputs.target, masks, context);
    inputs.known = masks.known;
  } else {
    inputs.known = Seen(masks, context);
    if (inputs.known.defined()) inputs.blank = static_cast<float>(clamp_min);
  }
  // Labels shrink with the scales of deep supervision, the segmentation cannot.
  if (evaluation.term->traits->takes_gt_seg && batch.mode == Mode::kStandard) {
    inputs.gt_seg = batch.gt_seg;
  }
  return inputs;
}

}  // namespace lossd
