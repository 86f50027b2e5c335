#include "lossd/orchestrator/explain.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>
#include <google/protobuf/text_format.h>

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lossd/losses/malis_loss.h"
#include "lossd/losses/registry.h"
#include "lossd/orchestrator/channel_slice.h"
#include "lossd/orchestrator/vocabulary.h"

namespace lossd {
namespace {

// "channels 0:3 of head aff", "all channels of the prediction"
std::string Channels(bool given, const v1::ChannelSlice& slice, absl::string_view of) {
  return given && (slice.has_start() || slice.has_stop())
             ? absl::StrCat("channels ", FormatChannelSlice(slice), " of ", of)
             : absl::StrCat("all channels of ", of);
}

std::string Head(const std::string& name) {
  return name.empty() ? "the prediction" : absl::StrCat("head ", name);
}

// What the loss compares with what.
std::string Subject(const v1::Term& spec) {
  const std::string pred =
      Channels(spec.has_pred_slice(), spec.pred_slice(), Head(spec.pred_head()));
  switch (spec.call_kind()) {
    case v1::CALL_KIND_PRED_ONLY:
      return absl::StrCat("on ", pred);
    case v1::CALL_KIND_PRED_PRED:
      return absl::StrCat(
          "between ", pred, " and ",
          Channels(spec.has_pred2_slice(), spec.pred2_slice(), Head(spec.pred2_head())));
    default:
      return absl::StrCat(
          "between ", pred, " and ",
          Channels(spec.has_target_slice(), spec.target_slice(), "labels"),
          spec.target_kind() == v1::TARGET_KIND_CLASS_INDEX ? ", taken as class indices" : "");
  }
}

// A singular option as it is written in a plan; its default where it is not set.
std::string ValueText(const google::protobuf::Message& options,
                      const google::protobuf::FieldDescriptor& field) {
  if (field.enum_type() != nullptr) return Word(*options.GetReflection()->GetEnum(options, &field));
  std::string text;
  google::protobuf::TextFormat::PrintFieldValueToString(options, &field, -1, &text);
  return text;
}

// " with sigmoid true, smooth_nr 0": the options that are not the defaults.
std::string ChosenOptions(const v1::LossOptions& loss) {
  const google::protobuf::Message& options = *OptionsOf(loss);
  const std::unique_ptr<const google::protobuf::Message> defaults(options.New());
  std::vector<std::string> chosen;
  for (int i = 0; i < options.GetDescriptor()->field_count(); ++i) {
    const google::protobuf::FieldDescriptor& field = *options.GetDescriptor()->field(i);
    if (field.is_repeated() || !options.GetReflection()->HasField(options, &field)) continue;
    const std::string value = ValueText(options, field);
    // Said by PositivesWeight.
    if (loss.has_weighted_bce_with_logits() && field.name() == "pos_weight") continue;
    if (field.has_default_value() && value == ValueText(*defaults, field)) continue;
    chosen.push_back(absl::StrCat(field.name(), " ", value));
  }
  return chosen.empty() ? "" : absl::StrCat(" with ", absl::StrJoin(chosen, ", "));
}

// How voxels are weighted.
std::string Weighting(const v1::Term& spec) {
  const bool has_target = spec.call_kind() == v1::CALL_KIND_PRED_TARGET;
  const bool takes_weight = spec.spatial_weight_arg() != v1::SPATIAL_WEIGHT_ARG_NONE;
  if (!has_target && !takes_weight) {
    return absl::StrCat("Takes no mask",
                        spec.has_mask_slice() ? ", mask_slice has no effect." : ".");
  }
  std::vector<std::string> factors;
  if (spec.has_mask_slice()) factors.push_back(Channels(true, spec.mask_slice(), "labels"));
  const v1::PosWeight& pos_weight = spec.pos_weight();
  const bool balanced = spec.has_pos_weight() && !spec.loss().has_weighted_bce_with_logits() &&
                        !spec.has_mask_slice();
  if (balanced && pos_weight.automatic()) {
    factors.emplace_back("class balance counted from the batch");
  } else if (balanced && pos_weight.value() != 1) {
    factors.push_back(absl::StrCat(pos_weight.value(), " on foreground"));
  }
  factors.emplace_back(has_target ? "mask and label_mask if given" : "mask if given");
  if (spec.loss().has_malis()) {
    return absl::StrCat("Edges are known where the product of ", absl::StrJoin(factors, ", "),
                        " is 1.");
  }
  return absl::StrCat(
      takes_weight ? "Weighted by " : "Predictions are held constant, and targets 0, outside of ",
      absl::StrJoin(factors, ", "), ".");
}

// What WeightedBCEWithLogitsLoss weighs positives with.
std::string PositivesWeight(const v1::Term& spec) {
  if (!spec.loss().has_weighted_bce_with_logits() || !spec.has_pos_weight()) return "";
  if (spec.pos_weight().automatic()) {
    return " Positives weigh background / foreground, counted from the batch, at most 10.";
  }
  const v1::WeightedBCEWithLogitsLossOptions& own = spec.loss().weighted_bce_with_logits();
  const double weight = own.has_pos_weight() ? own.pos_weight() : spec.pos_weight().value();
  return weight == 1 ? "" : absl::StrCat(" Positives weigh ", weight, ".");
}

// MALIS has a channel an offset.
std::string ChannelsNeeded(const v1::Term& spec) {
  if (!spec.loss().has_malis()) return "";
  return absl::StrCat(" (", MalisNeighborhood(spec.loss().malis()).size(),
                      " channels of each, one an offset)");
}

// What the batch must hold.
std::string Needs(const PlanTerm& term) {
  const v1::Term& spec = term.spec;
  // A label_mask comes with labels.
  const bool labels = spec.call_kind() == v1::CALL_KIND_PRED_TARGET || spec.has_mask_slice() ||
                      spec.require_label_mask();
  return absl::StrCat("Needs predictions", labels ? ", labels" : "", ChannelsNeeded(spec),
                      spec.require_label_mask() ? ", label_mask" : "",
                      term.traits->takes_gt_seg ? "; takes gt_seg." : ".");
}

}  // namespace

std::string ExplainTerm(const PlanTerm& term) {
  const v1::Term& spec = term.spec;
  const auto crop = term.loss->CropSize();
  return absl::StrCat(
      absl::StrCat(term.name, ": ", spec.coefficient(), " × ", term.traits->name,
                   ChosenOptions(spec.loss()), " ", Subject(spec), ". ", Weighting(spec),
                   PositivesWeight(spec)),
      crop.has_value()
          ? absl::StrCat(" Looks at one crop of ", absl::StrJoin(*crop, " × "), " a call.")
          : "",
      " ", Needs(term),
      spec.apply_deep_supervision() ? "" : " Under deep supervision, at the finest scale only.");
}

}  // namespace lossd
