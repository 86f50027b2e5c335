#include "lossd/losses/registry.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/message.h>

#include <algorithm>
#include <array>

#include "absl/strings/strip.h"
#include "lossd/losses/bce.h"
#include "lossd/losses/consistency.h"
#include "lossd/losses/cross_entropy.h"
#include "lossd/losses/dice.h"
#include "lossd/losses/focal.h"
#include "lossd/losses/gan.h"
#include "lossd/losses/generalized_dice.h"
#include "lossd/losses/malis_loss.h"
#include "lossd/losses/regression.h"
#include "lossd/losses/regularization.h"
#include "lossd/losses/scnp.h"
#include "lossd/losses/soft_cldice.h"
#include "lossd/losses/tversky.h"

namespace lossd {
namespace {

using CreateFunction = decltype(LossTraits::create);

// A loss of a prediction and a dense target that takes no weight.
constexpr LossTraits Plain(absl::string_view name, absl::string_view summary,
                           absl::string_view source, CreateFunction create) {
  return {.name = name,
          .summary = summary,
          .source = source,
          .call_kind = v1::CALL_KIND_PRED_TARGET,
          .target_kind = v1::TARGET_KIND_DENSE,
          .spatial_weight_arg = v1::SPATIAL_WEIGHT_ARG_NONE,
          .takes_gt_seg = false,
          .usable_in_plan = true,
          .create = create};
}

// The same with a weight.
constexpr LossTraits Weighted(absl::string_view name, absl::string_view summary,
                              absl::string_view source, CreateFunction create) {
  LossTraits traits = Plain(name, summary, source, create);
  traits.spatial_weight_arg = v1::SPATIAL_WEIGHT_ARG_WEIGHT;
  return traits;
}

// A regulariser: of predictions alone.
constexpr LossTraits Regulariser(absl::string_view name, absl::string_view summary,
                                 v1::CallKind call_kind, v1::SpatialWeightArg spatial_weight_arg,
                                 CreateFunction create) {
  LossTraits traits = Plain(name, summary, "PyTorch Connectomics", create);
  traits.call_kind = call_kind;
  traits.target_kind = v1::TARGET_KIND_NONE;
  traits.spatial_weight_arg = spatial_weight_arg;
  return traits;
}

constexpr LossTraits ClassIndex(LossTraits traits) {
  traits.target_kind = v1::TARGET_KIND_CLASS_INDEX;
  return traits;
}

constexpr LossTraits WithMaskAndSegmentation(LossTraits traits) {
  traits.spatial_weight_arg = v1::SPATIAL_WEIGHT_ARG_MASK;
  traits.takes_gt_seg = true;
  return traits;
}

constexpr LossTraits NotInPlans(LossTraits traits) {
  traits.target_kind = v1::TARGET_KIND_NONE;
  traits.usable_in_plan = false;
  return traits;
}

constexpr absl::string_view kTorch = "torch.nn";
constexpr absl::string_view kConnectomics = "PyTorch Connectomics";

constexpr std::array kLosses = {
    Plain("BCEWithLogitsLoss", "Binary cross entropy of logits.", kTorch, &CreateBCEWithLogitsLoss),
    Regulariser("BinaryRegularization", "Pushes probabilities away from one half.",
                v1::CALL_KIND_PRED_ONLY, v1::SPATIAL_WEIGHT_ARG_MASK, &CreateBinaryRegularization),
    Regulariser("ContourDistanceConsistency",
                "Keeps contours where the predicted distance to the surface is small.",
                v1::CALL_KIND_PRED_PRED, v1::SPATIAL_WEIGHT_ARG_MASK,
                &CreateContourDistanceConsistency),
    ClassIndex(Plain("CrossEntropyLoss", "Cross entropy of logits over exclusive classes.", kTorch,
                     &CreateCrossEntropyLoss)),
    Plain("DiceCELoss", "Dice plus cross entropy.", "MONAI", &CreateDiceCELoss),
    Plain("DiceFocalLoss", "Dice plus focal loss.", "MONAI", &CreateDiceFocalLoss),
    Plain("DiceLoss", "One minus the soft Dice (or Jaccard) overlap of each channel.",
          "Milletari et al., V-Net, 3DV 2016; MONAI", &CreateDiceLoss),
    Plain("FocalLoss", "Cross entropy that plays down what is already predicted well.",
          "Lin et al., Focal Loss for Dense Object Detection, ICCV 2017; MONAI", &CreateFocalLoss),
    Regulariser("ForegroundContourConsistency",
                "Keeps contours at the edges of the predicted foreground.", v1::CALL_KIND_PRED_PRED,
                v1::SPATIAL_WEIGHT_ARG_MASK, &CreateForegroundContourConsistency),
    Regulariser("ForegroundDistanceConsistency",
                "Keeps the foreground where the predicted signed distance is positive.",
                v1::CALL_KIND_PRED_PRED, v1::SPATIAL_WEIGHT_ARG_MASK,
                &CreateForegroundDistanceConsistency),
    NotInPlans(Plain("GANLoss", "Adversarial loss of a discriminator's prediction.",
                     "Isola et al., Image-to-Image Translation with Conditional Adversarial "
                     "Networks, CVPR 2017",
                     &CreateGANLoss)),
    Plain("GeneralizedDiceLoss", "Dice whose classes are weighted by their volume.",
          "Sudre et al., Generalised Dice Overlap, DLMIA 2017; MONAI", &CreateGeneralizedDiceLoss),
    Plain("L1Loss", "Absolute error.", kTorch, &CreateL1Loss),
    Plain("MSELoss", "Squared error.", kTorch, &CreateMSELoss),
    WithMaskAndSegmentation(
        Plain("MalisLoss", "Squared affinity error where it decides what is connected.",
              "Turaga et al., NIPS 2009; Funke et al., IEEE TPAMI 2018", &CreateMalisLoss)),
    Regulariser("NonOverlapRegularization", "Keeps the first two channels apart.",
                v1::CALL_KIND_PRED_ONLY, v1::SPATIAL_WEIGHT_ARG_NONE,
                &CreateNonOverlapRegularization),
    Weighted("PerChannelBCEWithLogitsLoss",
             "Binary cross entropy with classes balanced for each channel.", kConnectomics,
             &CreatePerChannelBCEWithLogitsLoss),
    Weighted("ScnpLoss", "Binary cross entropy of the worst neighbour of the same class.",
             "Lipman et al., CVPR 2026", &CreateScnpLoss),
    Weighted("SmoothL1Loss", "Quadratic for small errors, linear for large ones.", kConnectomics,
             &CreateSmoothL1Loss),
    Weighted("SoftClDiceLoss", "Dice of soft skeletons: overlap of centre lines.",
             "Shit et al., clDice, CVPR 2021", &CreateSoftClDiceLoss),
    Plain("TverskyLoss", "Dice with separate weights of false positives and false negatives.",
          "Salehi et al., MLMI 2017; MONAI", &CreateTverskyLoss),
    Weighted("WeightedBCEWithLogitsLoss", "Binary cross entropy of logits × weight.", kConnectomics,
             &CreateWeightedBCEWithLogitsLoss),
    Weighted("WeightedMAELoss", "Absolute error × weight.", kConnectomics, &CreateWeightedMAELoss),
    Weighted("WeightedMSELoss", "Squared error × weight.", kConnectomics, &CreateWeightedMSELoss),
};

// The loss's field of the options' oneof; null when none is set.
const google::protobuf::FieldDescriptor* SetField(const v1::LossOptions& options) {
  return v1::LossOptions::GetReflection()->GetOneofFieldDescriptor(
      options, v1::LossOptions::descriptor()->FindOneofByName("loss"));
}

}  // namespace

absl::Span<const LossTraits> AllLosses() { return kLosses; }

const LossTraits* FindLoss(absl::string_view name) {
  const auto* found = std::find_if(kLosses.begin(), kLosses.end(),
                                   [&](const LossTraits& loss) { return loss.name == name; });
  return found == kLosses.end() ? nullptr : found;
}

const google::protobuf::Message* OptionsOf(const v1::LossOptions& options) {
  const google::protobuf::FieldDescriptor* field = SetField(options);
  return field == nullptr ? nullptr : &options.GetReflection()->GetMessage(options, field);
}

google::protobuf::Message* MutableOptionsOf(v1::LossOptions& options) {
  const google::protobuf::FieldDescriptor* field = SetField(options);
  return field == nullptr ? nullptr : options.GetReflection()->MutableMessage(&options, field);
}

absl::string_view LossName(const v1::LossOptions& options) {
  const google::protobuf::Message* own = OptionsOf(options);
  return own == nullptr ? "" : absl::StripSuffix(own->GetDescriptor()->name(), "Options");
}

}  // namespace lossd
