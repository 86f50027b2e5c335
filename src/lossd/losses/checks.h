#ifndef LOSSD_LOSSES_CHECKS_H_
#define LOSSD_LOSSES_CHECKS_H_

#include <ATen/ATen.h>

#include <initializer_list>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "lossd/losses/loss.h"

// What losses check of their inputs. All errors are FieldErrors.
namespace lossd {

// The first error among them, OK when there is none.
absl::Status FirstError(std::initializer_list<absl::Status> statuses);

// The sizes of a tensor as "[2, 3, 8, 8, 8]".
std::string ShapeText(const at::Tensor& tensor);

// A floating-point tensor [B, C, Y, X] or [B, C, Z, Y, X] that is not empty.
absl::Status CheckPrediction(absl::string_view field, const at::Tensor& prediction);
// Present, on pred's device, and of pred's shape.
absl::Status CheckLikePrediction(absl::string_view field, const at::Tensor& tensor,
                                 const at::Tensor& pred);
// Absent, or on pred's device and broadcastable to its shape.
absl::Status CheckBroadcastable(absl::string_view field, const at::Tensor& tensor,
                                const at::Tensor& pred);

// What every loss of a prediction, a target of its shape and perhaps a weight needs.
absl::Status CheckPredTarget(const LossInputs& inputs);

// Absent, or instance labels of an integer type for a prediction [B, C, Z, Y, X]: [B, Z, Y, X],
// [B, 1, Z, Y, X] or, when B is 1, [Z, Y, X].
absl::Status CheckSegmentation(const at::Tensor& gt_seg, const at::Tensor& pred);
// Whether it may be one by its dtype.
absl::Status CheckSegmentationType(const at::Tensor& gt_seg);
// [B, Z, Y, X] of a segmentation in any of its shapes; undefined for what is none.
at::Tensor SegmentationBySample(const at::Tensor& gt_seg);

// Targets that are class indices: [B, 1, …] or [B, …] for a prediction [B, C, …].
absl::Status CheckClassTarget(const at::Tensor& target, const at::Tensor& pred);
// Those as int64 [B, …]; floats are truncated.
at::Tensor ClassIndices(const at::Tensor& target, const at::Tensor& pred);
// All of them within [0, classes) or equal to `ignored`.
absl::Status CheckClassIndices(const at::Tensor& indices, int64_t classes,
                               std::optional<int64_t> ignored = std::nullopt);

// The same of whole volumes. Unspecified when the context is cancelled.
at::Tensor ClassIndices(const at::Tensor& target, const at::Tensor& pred, const Context& context);
absl::Status CheckClassIndices(const at::Tensor& indices, int64_t classes,
                               std::optional<int64_t> ignored, const Context& context);
// The target with a channel, [B, 1, …].
at::Tensor WithChannel(const at::Tensor& target, const at::Tensor& pred);

}  // namespace lossd

#endif  // LOSSD_LOSSES_CHECKS_H_
