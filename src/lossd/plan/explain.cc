#include "lossd/plan/explain.h"

#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lossd/losses/registry.h"
#include "lossd/plan/channel_slice.h"

namespace lossd {
namespace {

// "channels 0:3 of head aff", "all channels of the prediction"
std::string Channels(const std::optional<ChannelSlice>& slice, absl::string_view of) {
  return slice.has_value() && slice != ChannelSlice()
             ? absl::StrCat("channels ", FormatChannelSlice(*slice), " of ", of)
             : absl::StrCat("all channels of ", of);
}

std::string HeadText(const std::optional<std::string>& name) {
  return name.has_value() ? absl::StrCat("head ", *name) : "the prediction";
}

// What the loss compares with what.
std::string Subject(const Term& spec) {
  const std::string pred = Channels(spec.pred_slice, HeadText(spec.pred_head));
  switch (*spec.call_kind) {
    case CallKind::kPredOnly:
      return absl::StrCat("on ", pred);
    case CallKind::kPredPred:
      return absl::StrCat("between ", pred, " and ",
                          Channels(spec.pred2_slice, HeadText(spec.pred2_head)));
    case CallKind::kPredTarget:
      break;
  }
  return absl::StrCat(
      "between ", pred, " and ", Channels(spec.target_slice, "labels"),
      spec.target_kind == TargetKind::kClassIndex ? ", taken as class indices" : "");
}

// " with sigmoid true, smooth_nr 0": the options, lists apart, that are not the defaults.
std::string ChosenOptions(LossConfig loss) {
  const std::vector<OptionValue> defaults = FindLoss(loss.traits().name)->Values();
  const OptionList options = loss.Options();
  std::vector<std::string> chosen;
  for (size_t i = 0; i < options.size(); ++i) {
    const OptionValue value = ValueOf(options[i]);
    if (value == defaults[i] || absl::StartsWith(TypeOf(options[i]), "list")) continue;
    // Said by PositivesWeight.
    if (loss.OwnPosWeight().has_value() && options[i].name == "pos_weight") continue;
    chosen.push_back(absl::StrCat(options[i].name, " ", TextOf(value)));
  }
  return chosen.empty() ? "" : absl::StrCat(" with ", absl::StrJoin(chosen, ", "));
}

bool WeighsPositives(const Term& spec) {
  return spec.loss->traits().pos_weight_use == PosWeightUse::kWeighsPositives;
}

// How voxels are weighted.
std::string Weighting(const Term& spec) {
  const bool has_target = spec.call_kind == CallKind::kPredTarget;
  const bool takes_weight = spec.spatial_weight_arg != SpatialWeightArg::kNone;
  if (!has_target && !takes_weight) {
    return absl::StrCat("Takes no mask",
                        spec.mask_slice.has_value() ? ", mask_slice has no effect." : ".");
  }
  std::vector<std::string> factors;
  if (spec.mask_slice.has_value()) factors.push_back(Channels(spec.mask_slice, "labels"));
  const bool balanced =
      spec.pos_weight.has_value() && !WeighsPositives(spec) && !spec.mask_slice.has_value();
  if (balanced && spec.pos_weight->automatic()) {
    factors.emplace_back("class balance counted from the batch");
  } else if (balanced && spec.pos_weight->value != 1) {
    factors.push_back(absl::StrCat(*spec.pos_weight->value, " on foreground"));
  }
  factors.emplace_back(has_target ? "mask and label_mask if given" : "mask if given");
  if (has_target && spec.loss->traits().spatial_weight_arg == SpatialWeightArg::kMask) {
    return absl::StrCat("Edges are known where the product of ", absl::StrJoin(factors, ", "),
                        " is 1.");
  }
  return absl::StrCat(
      takes_weight ? "Weighted by " : "Predictions are held constant, and targets 0, outside of ",
      absl::StrJoin(factors, ", "), ".");
}

// What a loss weighs positives with that leaves it to the term.
std::string PositivesWeight(const Term& spec) {
  if (!WeighsPositives(spec) || !spec.pos_weight.has_value()) return "";
  if (spec.pos_weight->automatic()) {
    return " Positives weigh background / foreground, counted from the batch, at most 10.";
  }
  const double weight = spec.loss->OwnPosWeight().value_or(*spec.pos_weight->value);
  return weight == 1 ? "" : absl::StrCat(" Positives weigh ", weight, ".");
}

std::string ChannelsNeeded(const Term& spec) {
  const std::optional<int64_t> channels = spec.loss->Channels();
  if (!channels.has_value()) return "";
  return absl::StrCat(" (", *channels, " channels of each, one an offset)");
}

// What a plan may well not mean.
std::string Warning(const PlanTerm& term) {
  if (!term.traits->takes_gt_seg) return "";
  LossConfig loss = *term.spec.loss;
  const OptionList options = loss.Options();
  const bool mean = std::ranges::any_of(options, [](const auto& option) {
    return option.name == "reduction" && TextOf(ValueOf(option)) == "mean";
  });
  // At 64³ the gradient has some 1/5000 of PerChannelBCEWithLogitsLoss's.
  return mean ? " Warning: few edges have a loss, and their mean over all edges is too small to "
                "train on beside other losses; reduction sum is not."
              : "";
}

// What the batch must hold.
std::string Needs(const PlanTerm& term) {
  const Term& spec = term.spec;
  // A label_mask comes with labels.
  const bool labels = spec.call_kind == CallKind::kPredTarget || spec.mask_slice.has_value() ||
                      spec.require_label_mask;
  return absl::StrCat("Needs predictions", labels ? ", labels" : "", ChannelsNeeded(spec),
                      spec.require_label_mask ? ", label_mask" : "",
                      term.traits->takes_gt_seg ? "; takes gt_seg." : ".");
}

}  // namespace

std::string ExplainTerm(const PlanTerm& term) {
  const Term& spec = term.spec;
  const auto crop = spec.loss->CropSize();
  return absl::StrCat(
      absl::StrCat(term.name, ": ", spec.coefficient, " × ", term.traits->name,
                   ChosenOptions(*spec.loss), " ", Subject(spec), ". ", Weighting(spec),
                   PositivesWeight(spec)),
      crop.has_value()
          ? absl::StrCat(" Looks at one crop of ", absl::StrJoin(*crop, " × "), " a call.")
          : "",
      " ", Needs(term),
      spec.apply_deep_supervision ? "" : " Under deep supervision, at the finest scale only.",
      Warning(term));
}

std::string ExplainBalancing(const LossBalancing& balancing) {
  switch (balancing.strategy) {
    case BalancingStrategy::kNone:
      return "";
    case BalancingStrategy::kUncertainty:
      return "Balancing by uncertainty: each term's weighted loss L adds ½·exp(−s)·L + ½·s to the "
             "total. Takes log_vars, the s of each term (0 without them), and gives their "
             "gradients.";
    case BalancingStrategy::kGradNorm:
      return absl::StrCat(
          "Balancing by gradnorm: of n terms, each one's weighted loss counts n·relu(w) / Σ "
          "relu(w) "
          "times. Takes task_weights, the w of each term (1 without them). gradnorm_alpha ",
          balancing.gradnorm_alpha, " and gradnorm_lambda ", balancing.gradnorm_lambda,
          " are for GradNorm's own loss, which the trainer computes.");
  }
  return "";
}

}  // namespace lossd
