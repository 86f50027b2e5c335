#include "lossd/losses/checks.h"

#include <cmath>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lossd/base/error.h"
#include "lossd/sweep/slabs.h"
#include "lossd/tensor/dtype_name.h"

namespace lossd {

absl::Status FirstError(std::initializer_list<absl::Status> statuses) {
  for (const absl::Status& status : statuses) {
    if (!status.ok()) return status;
  }
  return absl::OkStatus();
}

std::string ShapeText(const at::Tensor& tensor) {
  return absl::StrCat("[", absl::StrJoin(tensor.sizes(), ", "), "]");
}

absl::Status CheckPrediction(absl::string_view field, const at::Tensor& prediction) {
  if (!prediction.defined()) return FieldError(field, "nothing", "a tensor");
  if (!prediction.is_floating_point()) {
    return FieldError(field, absl::StrCat("elements of type ", DTypeName(prediction.scalar_type())),
                      "a floating-point type");
  }
  if ((prediction.dim() != 4 && prediction.dim() != 5) || prediction.numel() == 0) {
    return FieldError(field, absl::StrCat("shape ", ShapeText(prediction)),
                      "[B, C, Y, X] or [B, C, Z, Y, X], no size 0");
  }
  return absl::OkStatus();
}

namespace {

absl::Status CheckDevice(absl::string_view field, const at::Tensor& tensor,
                         const at::Tensor& pred) {
  if (tensor.device() == pred.device()) return absl::OkStatus();
  return FieldError(field, absl::StrCat("a tensor on ", tensor.device().str()),
                    absl::StrCat("one on ", pred.device().str(), " like the prediction"));
}

bool IsBroadcastable(at::IntArrayRef sizes, at::IntArrayRef to) {
  if (sizes.size() > to.size()) return false;
  const size_t skipped = to.size() - sizes.size();
  for (size_t d = 0; d < sizes.size(); ++d) {
    if (sizes[d] != 1 && sizes[d] != to[skipped + d]) return false;
  }
  return true;
}

}  // namespace

absl::Status CheckLikePrediction(absl::string_view field, const at::Tensor& tensor,
                                 const at::Tensor& pred) {
  if (!tensor.defined()) return FieldError(field, "nothing", "a tensor");
  if (tensor.sizes() != pred.sizes()) {
    return FieldError(field, absl::StrCat("shape ", ShapeText(tensor)),
                      absl::StrCat("the prediction's, ", ShapeText(pred)));
  }
  return CheckDevice(field, tensor, pred);
}

absl::Status CheckBroadcastable(absl::string_view field, const at::Tensor& tensor,
                                const at::Tensor& pred) {
  if (!tensor.defined()) return absl::OkStatus();
  if (!IsBroadcastable(tensor.sizes(), pred.sizes())) {
    return FieldError(field, absl::StrCat("shape ", ShapeText(tensor)),
                      absl::StrCat("one broadcastable to the prediction's, ", ShapeText(pred)));
  }
  return CheckDevice(field, tensor, pred);
}

absl::Status CheckPredTarget(const LossInputs& inputs) {
  // The others look at the prediction, which must be there.
  if (absl::Status status = CheckPrediction("pred", inputs.pred); !status.ok()) return status;
  return FirstError({CheckLikePrediction("target", inputs.target, inputs.pred),
                     CheckBroadcastable("weight", inputs.weight, inputs.pred)});
}

absl::Status CheckSegmentation(const at::Tensor& gt_seg, const at::Tensor& pred) {
  if (!gt_seg.defined()) return absl::OkStatus();
  if (absl::Status typed = CheckSegmentationType(gt_seg); !typed.ok()) return typed;
  const std::vector<int64_t> volume = pred.sizes().slice(2).vec();
  std::vector<int64_t> with_batch = volume;
  with_batch.insert(with_batch.begin(), pred.size(0));
  std::vector<int64_t> with_channel = volume;
  with_channel.insert(with_channel.begin(), {pred.size(0), 1});
  if (gt_seg.sizes() == with_batch || gt_seg.sizes() == with_channel ||
      (pred.size(0) == 1 && gt_seg.sizes() == volume)) {
    return absl::OkStatus();
  }
  const auto text = [](const std::vector<int64_t>& shape) {
    return absl::StrCat("[", absl::StrJoin(shape, ", "), "]");
  };
  const std::string alone = pred.size(0) == 1 ? absl::StrCat(text(volume), ", ") : "";
  return FieldError("gt_seg.shape", ShapeText(gt_seg),
                    absl::StrCat(alone, text(with_batch), " or ", text(with_channel)));
}

absl::Status CheckSegmentationType(const at::Tensor& gt_seg) {
  if (at::isIntegralType(gt_seg.scalar_type(), /*includeBool=*/true)) return absl::OkStatus();
  return FieldError("gt_seg.dtype", DTypeName(gt_seg.scalar_type()), "an integer dtype");
}

at::Tensor SegmentationBySample(const at::Tensor& gt_seg) {
  if (gt_seg.dim() == 3) return gt_seg.unsqueeze(0);
  if (gt_seg.dim() == 5 && gt_seg.size(1) == 1) return gt_seg.squeeze(1);
  return gt_seg.dim() == 4 ? gt_seg : at::Tensor();
}

absl::Status CheckClassTarget(const at::Tensor& target, const at::Tensor& pred) {
  if (!target.defined()) return FieldError("target", "nothing", "a tensor");
  std::vector<int64_t> with_channel = pred.sizes().vec();
  with_channel[1] = 1;
  std::vector<int64_t> without_channel = with_channel;
  without_channel.erase(without_channel.begin() + 1);
  if (target.sizes() == with_channel || target.sizes() == without_channel) {
    return CheckDevice("target", target, pred);
  }
  return FieldError("target", absl::StrCat("shape ", ShapeText(target)),
                    absl::StrCat("class indices, not one-hot: [", absl::StrJoin(with_channel, ", "),
                                 "] or [", absl::StrJoin(without_channel, ", "), "]"));
}

at::Tensor ClassIndices(const at::Tensor& target, const at::Tensor& pred) {
  return (target.dim() == pred.dim() ? target.squeeze(1) : target).to(at::kLong);
}

absl::Status CheckClassIndices(const at::Tensor& indices, int64_t classes,
                               std::optional<int64_t> ignored) {
  const auto in_range = [&](const at::Tensor& values) {
    const auto [low, high] = values.aminmax();
    return low.item<int64_t>() >= 0 && high.item<int64_t>() < classes;
  };
  if (in_range(indices)) return absl::OkStatus();
  at::Tensor bad = indices.lt(0).logical_or_(indices.ge(classes));
  if (ignored.has_value()) bad.logical_and_(indices.ne(*ignored));
  if (!bad.any().item<bool>()) return absl::OkStatus();
  const auto first = indices.masked_select(bad)[0].item<int64_t>();
  // What NaN and numbers beyond int64 become.
  const bool none = first == std::numeric_limits<int64_t>::min();
  return FieldError("target",
                    none ? "a class that is NaN or beyond 64 bits" : absl::StrCat("class ", first),
                    absl::StrCat("classes 0 to ", classes - 1));
}

at::Tensor WithChannel(const at::Tensor& target, const at::Tensor& pred) {
  return target.dim() == pred.dim() ? target : target.unsqueeze(1);
}

at::Tensor ClassIndices(const at::Tensor& target, const at::Tensor& pred, const Context& context) {
  return ToType(WithChannel(target, pred), at::kLong, context).squeeze(1);
}

absl::Status CheckClassIndices(const at::Tensor& indices, int64_t classes,
                               std::optional<int64_t> ignored, const Context& context) {
  const at::Tensor with_channel = indices.unsqueeze(1);
  // Of the first slab that has one, hence the first that there is.
  return ForEachSlab(with_channel.sizes(), context, [&](const Slab& slab) {
    return CheckClassIndices(slab.Of(with_channel), classes, ignored);
  });
}

}  // namespace lossd
