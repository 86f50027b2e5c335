#ifndef LOSSD_LOSSES_FOCAL_H_
#define LOSSD_LOSSES_FOCAL_H_

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "lossd/losses/loss.h"
#include "lossd/v1/options.pb.h"

// The focal loss (Lin et al., Focal Loss for Dense Object Detection, ICCV 2017) as MONAI defines
// it.
namespace lossd {

// As monai.losses.FocalLoss, of logits. With to_onehot_y, targets are class indices [B, 1, …], else
// they have the prediction's shape.
absl::StatusOr<std::unique_ptr<const Loss>> CreateFocalLoss(const v1::LossOptions& options);

struct FocalOptions {
  bool include_background = true;
  bool to_onehot_y = false;
  bool use_softmax = false;
  double gamma = 2;
  std::optional<double> alpha;
  google::protobuf::RepeatedField<double> weight;
  v1::Reduction reduction = v1::REDUCTION_MEAN;
};

// The options of those names of a message; use_softmax stays false.
template <typename Options>
FocalOptions FocalOptionsOf(const Options& options) {
  return {.include_background = options.include_background(),
          .to_onehot_y = options.to_onehot_y(),
          .gamma = options.gamma(),
          .alpha = options.has_alpha() ? std::optional(options.alpha()) : std::nullopt,
          .weight = options.weight(),
          .reduction = options.reduction()};
}

// The loss with options that were checked, for losses made of it.
std::unique_ptr<const Loss> MakeFocalLoss(FocalOptions options);

}  // namespace lossd

#endif  // LOSSD_LOSSES_FOCAL_H_
