#ifndef LOSSD_LOSSES_TRAITS_H_
#define LOSSD_LOSSES_TRAITS_H_

#include "absl/strings/string_view.h"
#include "lossd/base/words.h"

// What is known of a loss without an instance of it.
namespace lossd {

// What a loss is called with.
enum class CallKind { kPredTarget, kPredOnly, kPredPred };
template <>
inline constexpr absl::string_view kWords<CallKind>[] = {"pred_target", "pred_only", "pred_pred"};

// What a target holds: a value per channel and voxel, or one channel of class indices.
enum class TargetKind { kDense, kClassIndex, kNone };
template <>
inline constexpr absl::string_view kWords<TargetKind>[] = {"dense", "class_index", "none"};

// The argument through which a loss takes a spatial weight: one that multiplies the loss map, or a
// mask.
enum class SpatialWeightArg { kNone, kWeight, kMask };
template <>
inline constexpr absl::string_view kWords<SpatialWeightArg>[] = {"none", "weight", "mask"};

// What becomes of a term's pos_weight, which losses with the spatial argument weight have.
enum class PosWeightUse {
  // Weighs the loss map by class. Counted from the batch where the plan does not say what it is.
  kBalancesClasses,
  // The same, but 1 where the plan does not say: the loss balances classes by itself.
  kBalancesClassesOnRequest,
  // Becomes LossInputs.pos_weight, unless it is a number and the loss has one of its own. 1 where
  // the plan does not say.
  kWeighsPositives,
};

struct LossTraits {
  absl::string_view name;
  absl::string_view summary;     // One sentence.
  absl::string_view source;      // Paper or library.
  absl::string_view definition;  // A formula for a voxel, before the reduction.
  CallKind call_kind = CallKind::kPredTarget;
  TargetKind target_kind = TargetKind::kDense;
  SpatialWeightArg spatial_weight_arg = SpatialWeightArg::kNone;
  bool takes_gt_seg = false;
  bool usable_in_plan = true;
  PosWeightUse pos_weight_use = PosWeightUse::kBalancesClasses;
  absl::string_view computed = "sweep";  // How, in the words of docs/losses.md.
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_TRAITS_H_
