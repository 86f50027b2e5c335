#include "lossd/compute/schedule.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lossd/base/error.h"
#include "lossd/compute/crop_origin.h"
#include "lossd/compute/scales.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/loss.h"
#include "lossd/plan/prediction_name.h"
#include "lossd/tensor/dtype_name.h"

namespace lossd {
namespace {

std::vector<int64_t> SpatialSize(const at::Tensor& tensor) { return tensor.sizes().slice(2).vec(); }

absl::Status CheckPredictions(const Batch& batch) {
  if (batch.predictions.empty()) return FieldError("predictions", "none", "at least one");
  const at::Tensor& first = batch.predictions.front().tensor;
  std::set<std::string> names;
  for (const auto& [name, tensor] : batch.predictions) {
    const std::string field = PredictionField(name);
    if (!names.insert(name).second) return FieldError(field, "given twice");
    if (!tensor.defined()) return FieldError(field, "none", "a tensor");
    const at::ScalarType dtype = tensor.scalar_type();
    if (dtype != at::kFloat && dtype != at::kHalf && dtype != at::kBFloat16) {
      return FieldError(absl::StrCat(field, ".dtype"), DTypeName(tensor.scalar_type()),
                        "float32, float16 or bfloat16");
    }
    const std::string shape = absl::StrCat(field, ".shape");
    if ((tensor.dim() != 4 && tensor.dim() != 5) || tensor.numel() == 0) {
      return FieldError(shape, ShapeText(tensor),
                        "[B, C, Z, Y, X] or [B, C, Y, X], none of them 0");
    }
    if (tensor.dim() != first.dim() || tensor.size(0) != first.size(0)) {
      return FieldError(shape, ShapeText(tensor),
                        absl::StrCat(first.dim(), " dimensions and a batch of ", first.size(0),
                                     ", as ", PredictionField(batch.predictions.front().name)));
    }
  }
  return absl::OkStatus();
}

enum class Samples { kAll, kAllOrOneForAll };

// Labels or a mask: [B, C, …] of the predictions' rank and batch size.
absl::Status CheckCompanion(absl::string_view field, const at::Tensor& tensor,
                            const at::Tensor& prediction, Samples samples) {
  if (!tensor.defined()) return absl::OkStatus();
  if (tensor.is_complex()) {
    return FieldError(absl::StrCat(field, ".dtype"), DTypeName(tensor.scalar_type()),
                      "a real dtype");
  }
  const bool one_for_all = samples == Samples::kAllOrOneForAll;
  const auto is_batch = [&](int64_t size) {
    return size == prediction.size(0) || (one_for_all && size == 1);
  };
  if (tensor.dim() != prediction.dim() || !is_batch(tensor.size(0)) || tensor.numel() == 0) {
    return FieldError(
        absl::StrCat(field, ".shape"), ShapeText(tensor),
        absl::StrCat(prediction.dim(), " dimensions, none of them 0, and a batch of ",
                     prediction.size(0), one_for_all ? " or 1" : "", ", as the predictions"));
  }
  return absl::OkStatus();
}

absl::Status CheckLabelMask(const Batch& batch) {
  if (!batch.label_mask.defined()) return absl::OkStatus();
  if (!batch.labels.defined()) return FieldError("label_mask", "given without labels");
  const at::ScalarType dtype = batch.label_mask.scalar_type();
  if (dtype != at::kBool && dtype != at::kByte) {
    return FieldError("label_mask.dtype", DTypeName(batch.label_mask.scalar_type()),
                      "bool or uint8");
  }
  if (batch.label_mask.sizes() != batch.labels.sizes()) {
    return FieldError("label_mask.shape", ShapeText(batch.label_mask),
                      absl::StrCat(ShapeText(batch.labels), ", that of labels"));
  }
  return absl::OkStatus();
}

absl::Status CheckBalancingParameters(const CheckedPlan& plan, absl::string_view field,
                                      const std::vector<double>& values, BalancingStrategy needed) {
  if (values.empty()) return absl::OkStatus();
  if (plan.plan.loss_balancing.strategy != needed) {
    return FieldError(field, absl::StrCat(values.size(), " values"),
                      absl::StrCat("none, as the plan's loss_balancing is not ", Word(needed)));
  }
  if (values.size() != plan.terms.size()) {
    return FieldError(field, absl::StrCat(values.size(), " values"),
                      absl::StrCat(plan.terms.size(), ", one a term"));
  }
  for (size_t i = 0; i < values.size(); ++i) {
    if (!std::isfinite(values[i])) {
      return FieldError(absl::StrCat(field, "[", i, "]"), absl::StrCat(values[i]),
                        "a finite number");
    }
  }
  return absl::OkStatus();
}

// Everything that does not depend on a term's routing.
absl::Status CheckTensors(const CheckedPlan& plan, const Batch& batch) {
  if (absl::Status status = CheckPredictions(batch); !status.ok()) return status;
  const at::Tensor& prediction = batch.predictions.front().tensor;
  absl::Status companions = CheckCompanion("labels", batch.labels, prediction, Samples::kAll);
  companions.Update(CheckCompanion("mask", batch.mask, prediction, Samples::kAllOrOneForAll));
  if (!companions.ok()) return companions;
  if (absl::Status status = CheckLabelMask(batch); !status.ok()) return status;
  if (batch.per_term_gradients && batch.losses_only) {
    return FieldError("per_term_gradients", "true", "false with losses_only");
  }
  absl::Status status =
      CheckBalancingParameters(plan, "log_vars", batch.log_vars, BalancingStrategy::kUncertainty);
  if (!status.ok()) return status;
  return CheckBalancingParameters(plan, "task_weights", batch.task_weights,
                                  BalancingStrategy::kGradNorm);
}

// The weight of each scale: the plan's, or halved from scale to scale when it has too few.
std::vector<double> ScaleWeights(const Plan& plan, size_t scales) {
  const std::vector<double>& given = plan.deep_supervision_weights;
  if (given.size() >= scales) {
    return {given.begin(), given.begin() + static_cast<std::ptrdiff_t>(scales)};
  }
  std::vector<double> weights;
  for (size_t k = 0; k < scales; ++k) weights.push_back(std::ldexp(1, -static_cast<int>(k)));
  return weights;
}

// Routes one term at one scale.
class Router {
 public:
  Router(const CheckedPlan& plan, const Batch& batch) : plan_(plan), batch_(batch) {}

  absl::StatusOr<Evaluation> Route(size_t term_index, int scale,
                                   const ScaleOutputs& outputs) const {
    const PlanTerm& term = plan_.terms[term_index];
    Evaluation evaluation;
    evaluation.term = &term;
    evaluation.term_index = term_index;
    evaluation.scale = scale;
    absl::Status status = RoutePredictions(outputs, evaluation);
    if (status.ok()) status = RouteLabels(evaluation);
    if (status.ok()) status = CheckMasks(evaluation);
    if (status.ok()) status = CheckVolume(evaluation);
    if (!status.ok()) return status;
    return evaluation;
  }

 private:
  const at::Tensor& Prediction(size_t index) const { return batch_.predictions[index].tensor; }

  absl::StatusOr<size_t> SelectHead(const PlanTerm& term, absl::string_view field,
                                    const std::string& head, bool named,
                                    const ScaleOutputs& outputs) const {
    if (outputs.lone) {
      const size_t index = outputs.outputs.front().prediction;
      if (!named) return index;
      return FieldError(absl::StrCat(term.path, ".", field),
                        absl::StrCat("names the head ", head, ", but the prediction ",
                                     batch_.predictions[index].name, " has no heads"));
    }
    for (const ScaleOutput& output : outputs.outputs) {
      if (output.head == head) return output.prediction;
    }
    return FieldError(PredictionField(absl::StrCat(outputs.prefix, head)),
                      absl::StrCat("missing, ", term.path, " looks at it"));
  }

  static absl::StatusOr<ChannelRange> Channels(const PlanTerm& term, absl::string_view field,
                                               const std::optional<ChannelSlice>& slice,
                                               const at::Tensor& tensor,
                                               absl::string_view tensor_name) {
    auto range = ResolveChannelSlice(slice.value_or(ChannelSlice()), tensor.size(1));
    if (range.ok()) return range;
    return FieldError(absl::StrCat(term.path, ".", field),
                      absl::StrCat(range.status().message(), ", those of ", tensor_name));
  }

  absl::Status RoutePredictions(const ScaleOutputs& outputs, Evaluation& evaluation) const {
    const PlanTerm& term = *evaluation.term;
    const Term& spec = term.spec;
    const auto pred =
        SelectHead(term, "pred_head", spec.pred_head.value_or(""), term.names_pred_head, outputs);
    if (!pred.ok()) return pred.status();
    evaluation.pred = *pred;
    const auto channels = Channels(term, "pred_slice", spec.pred_slice, Prediction(*pred),
                                   PredictionField(batch_.predictions[*pred].name));
    if (!channels.ok()) return channels.status();
    evaluation.pred_channels = *channels;
    if (spec.call_kind != CallKind::kPredPred) return absl::OkStatus();

    const auto pred2 = SelectHead(term, "pred2_head", spec.pred2_head.value_or(""),
                                  term.names_pred2_head, outputs);
    if (!pred2.ok()) return pred2.status();
    evaluation.pred2 = *pred2;
    const std::string pred2_field = PredictionField(batch_.predictions[*pred2].name);
    const auto channels2 =
        Channels(term, "pred2_slice", spec.pred2_slice, Prediction(*pred2), pred2_field);
    if (!channels2.ok()) return channels2.status();
    evaluation.pred2_channels = *channels2;
    if (SpatialSize(Prediction(*pred)) != SpatialSize(Prediction(*pred2))) {
      return FieldError(absl::StrCat(pred2_field, ".shape"), ShapeText(Prediction(*pred2)),
                        absl::StrCat("the spatial size of ", ShapeText(Prediction(*pred)), ", as ",
                                     term.path, " compares the two"));
    }
    return absl::OkStatus();
  }

  absl::Status RouteLabels(Evaluation& evaluation) const {
    const PlanTerm& term = *evaluation.term;
    const Term& spec = term.spec;
    const bool has_target = spec.call_kind == CallKind::kPredTarget;
    if (spec.require_label_mask && !batch_.label_mask.defined()) {
      return FieldError("label_mask", "none", absl::StrCat("one, as ", term.path, " requires it"));
    }
    if (!has_target && !spec.mask_slice.has_value()) return absl::OkStatus();
    if (!batch_.labels.defined()) {
      return FieldError("labels", "none", absl::StrCat("labels, as ", term.path, " needs them"));
    }
    if (spec.mask_slice.has_value()) {
      const auto channels = Channels(term, "mask_slice", spec.mask_slice, batch_.labels, "labels");
      if (!channels.ok()) return channels.status();
      evaluation.mask_channels = *channels;
    }
    if (!has_target) return absl::OkStatus();
    const auto channels =
        Channels(term, "target_slice", spec.target_slice, batch_.labels, "labels");
    if (!channels.ok()) return channels.status();
    evaluation.target_channels = *channels;
    const bool indices = term.traits->target_kind == TargetKind::kClassIndex;
    const int64_t pred_channels = evaluation.pred_channels.size();
    if (channels->size() != 1 && (indices || channels->size() != pred_channels)) {
      return FieldError(absl::StrCat(term.path, ".target_slice"),
                        absl::StrCat(channels->size(), " channels of labels"),
                        indices ? absl::StrCat("1, of class indices, as ", term.traits->name,
                                               " takes no one-hot labels")
                                : ChannelsText(pred_channels, "prediction"));
    }
    return absl::OkStatus();
  }

  static std::string ChannelsText(int64_t channels, absl::string_view of) {
    return channels == 1
               ? absl::StrCat("1, as the term's ", of, " has")
               : absl::StrCat("1 or ", channels, ", as the term's ", of, " has ", channels);
  }

  // Masks broadcast to the prediction; those that blank a target also to the target.
  absl::Status CheckMasks(const Evaluation& evaluation) const {
    const PlanTerm& term = *evaluation.term;
    const bool blanks_target = term.spec.call_kind == CallKind::kPredTarget &&
                               term.spec.spatial_weight_arg == SpatialWeightArg::kNone;
    const int64_t pred = evaluation.pred_channels.size();
    const auto check = [&](const std::string& field, int64_t channels) -> absl::Status {
      const bool by_target = blanks_target && evaluation.target_channels.size() < pred;
      const int64_t most = by_target ? evaluation.target_channels.size() : pred;
      if (channels == 1 || channels == most) return absl::OkStatus();
      return FieldError(
          field, absl::StrCat(channels, " channels"),
          absl::StrCat(ChannelsText(most, by_target ? "target" : "prediction"), " in ", term.path));
    };
    if (evaluation.mask_channels.has_value()) {
      const int64_t channels = evaluation.mask_channels->size();
      const bool of_counted =
          channels != pred && channels != 1 && channels == term.loss->WeightChannels(pred);
      if (of_counted) return CheckOtherMasks(evaluation, channels);
      absl::Status status = check(absl::StrCat(term.path, ".mask_slice"), channels);
      if (!status.ok()) return status;
    }
    return batch_.mask.defined() ? check("mask.shape", batch_.mask.size(1)) : absl::OkStatus();
  }

  // Beside a term mask of the channels that count, which those of all channels do not fit.
  absl::Status CheckOtherMasks(const Evaluation& evaluation, int64_t counted) const {
    const std::string expected =
        absl::StrCat("1, beside the ", counted, " of ", evaluation.term->path, ".mask_slice");
    if (batch_.mask.defined() && batch_.mask.size(1) != 1) {
      return FieldError("mask.shape", absl::StrCat(batch_.mask.size(1), " channels"), expected);
    }
    const int64_t known = evaluation.target_channels.size();
    if (batch_.label_mask.defined() && known != 1) {
      return FieldError("label_mask", absl::StrCat(known, " channels of the target"), expected);
    }
    return absl::OkStatus();
  }

  // What losses on volumes need.
  absl::Status CheckVolume(const Evaluation& evaluation) const {
    const PlanTerm& term = *evaluation.term;
    const auto crop = term.spec.loss->CropSize();
    if (!crop.has_value() && !term.traits->takes_gt_seg) return absl::OkStatus();
    const at::Tensor& pred = Prediction(evaluation.pred);
    const std::string field =
        absl::StrCat(PredictionField(batch_.predictions[evaluation.pred].name), ".shape");
    if (pred.dim() != 5) {
      return FieldError(field, ShapeText(pred),
                        absl::StrCat("[B, C, Z, Y, X], as ", term.path, " is ", term.traits->name));
    }
    for (size_t axis = 0; crop.has_value() && axis < crop->size(); ++axis) {
      if ((*crop)[axis] <= pred.size(static_cast<int64_t>(axis) + 2)) continue;
      return FieldError(absl::StrCat(term.path, ".kwargs.malis_crop_size"),
                        absl::StrCat("[", absl::StrJoin(*crop, ", "), "]"),
                        absl::StrCat("at most the prediction's size, ", ShapeText(pred)));
    }
    if (!term.traits->takes_gt_seg || batch_.mode != Mode::kStandard) return absl::OkStatus();
    return CheckSegmentation(batch_.gt_seg, pred);
  }

  const CheckedPlan& plan_;
  const Batch& batch_;
};

// Says where the crops lie: as given, or drawn.
absl::Status PlaceCrops(const Batch& batch, Schedule& schedule) {
  constexpr std::array<absl::string_view, 3> kAxes = {"z", "y", "x"};
  std::vector<Evaluation*> cropped;
  for (Scale& scale : schedule.scales) {
    for (Evaluation& evaluation : scale.evaluations) {
      if (evaluation.term->spec.loss->CropSize().has_value()) cropped.push_back(&evaluation);
    }
  }
  const auto& origins = batch.malis_crop_origins;
  if (origins.size() > 1 ? origins.size() != cropped.size()
                         : origins.size() == 1 && cropped.empty()) {
    return FieldError("malis_crop.origins", absl::StrCat(origins.size()),
                      cropped.empty() ? "none, as no term has a crop"
                                      : absl::StrCat(cropped.size(),
                                                     ", one for each cropped term at each scale, "
                                                     "or one for all"));
  }
  schedule.drew_crop_origin = origins.empty() && !cropped.empty();
  CropOriginDraw draw(batch.malis_crop_seed.value_or(0));
  for (size_t i = 0; i < cropped.size(); ++i) {
    Evaluation& evaluation = *cropped[i];
    const at::Tensor& pred = batch.predictions[evaluation.pred].tensor;
    const std::array<int64_t, 3> volume = {pred.size(2), pred.size(3), pred.size(4)};
    const std::array<int64_t, 3> crop = *evaluation.term->spec.loss->CropSize();
    if (origins.empty()) {
      evaluation.crop_origin = draw.Next(volume, crop);
      continue;
    }
    const size_t which = origins.size() == 1 ? 0 : i;
    evaluation.crop_origin = origins[which];
    for (size_t axis = 0; axis < volume.size(); ++axis) {
      const int64_t last = volume[axis] - crop[axis];
      const int64_t start = origins[which][axis];
      if (start >= 0 && start <= last) continue;
      return FieldError(absl::StrCat("malis_crop.origins[", which, "].", kAxes[axis]),
                        absl::StrCat(start),
                        absl::StrCat("0 to ", last, ", as ", evaluation.term->path, " crops ",
                                     crop[axis], " of ", volume[axis]));
    }
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<Schedule> MakeSchedule(const CheckedPlan& plan, const Batch& batch) {
  if (absl::Status status = CheckTensors(plan, batch); !status.ok()) return status;
  const auto outputs = SplitIntoScales(plan, batch);
  if (!outputs.ok()) return outputs.status();

  Schedule schedule;
  const Router router(plan, batch);
  const std::vector<double> weights = batch.mode == Mode::kDeepSupervision
                                          ? ScaleWeights(plan.plan, outputs->size())
                                          : std::vector<double>{1};
  for (size_t k = 0; k < outputs->size(); ++k) {
    Scale& scale = schedule.scales.emplace_back();
    scale.weight = weights[k];
    for (size_t i = 0; i < plan.terms.size(); ++i) {
      if (k > 0 && !plan.terms[i].spec.apply_deep_supervision) continue;
      auto evaluation = router.Route(i, static_cast<int>(k), (*outputs)[k]);
      if (!evaluation.ok()) return evaluation.status();
      scale.evaluations.push_back(*std::move(evaluation));
    }
  }
  if (absl::Status status = PlaceCrops(batch, schedule); !status.ok()) return status;
  return schedule;
}

}  // namespace lossd
