#include "lossd/compute/derived_labels.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/checks.h"
#include "lossd/malis/affinities.h"
#include "lossd/sweep/slabs.h"

namespace lossd {
namespace {

// [B, Z, Y, X] of a segmentation in any of its shapes; undefined for what is none.
at::Tensor BySample(const at::Tensor& gt_seg) {
  if (gt_seg.dim() == 3) return gt_seg.unsqueeze(0);
  if (gt_seg.dim() == 5 && gt_seg.size(1) == 1) return gt_seg.squeeze(1);
  return gt_seg.dim() == 4 ? gt_seg : at::Tensor();
}

absl::Status CheckDerivable(const Batch& batch) {
  if (batch.labels.defined()) {
    return FieldError("labels", "a tensor", "none, as labels_from_gt_seg says what they are");
  }
  if (!batch.gt_seg.defined()) {
    return FieldError("gt_seg", "none", "one, as labels_from_gt_seg makes labels of it");
  }
  if (!at::isIntegralType(batch.gt_seg.scalar_type(), /*includeBool=*/true)) {
    return FieldError("gt_seg.dtype", DTypeText(batch.gt_seg), "an integer dtype");
  }
  const at::Tensor by_sample = BySample(batch.gt_seg);
  const bool empty = batch.gt_seg.numel() == 0;
  const bool of_batch = batch.predictions.empty() || !batch.predictions.front().tensor.defined() ||
                        !by_sample.defined() ||
                        by_sample.size(0) == batch.predictions.front().tensor.size(0);
  if (!by_sample.defined() || empty || !of_batch) {
    return FieldError("gt_seg.shape", ShapeText(batch.gt_seg),
                      "[B, Z, Y, X], [B, 1, Z, Y, X] or, when B is 1, [Z, Y, X], none of them 0, "
                      "with the predictions' B");
  }
  const auto offsets = static_cast<int64_t>(batch.labels_from_gt_seg.size());
  constexpr int64_t kMostFloats = std::numeric_limits<int64_t>::max() / 4;
  if (batch.gt_seg.numel() > kMostFloats / offsets) {
    return FieldError("labels_from_gt_seg", absl::StrCat(offsets, " offsets"),
                      "labels that fit into memory");
  }
  return absl::OkStatus();
}

std::vector<int64_t> LabelSizes(const Batch& batch) {
  std::vector<int64_t> sizes = BySample(batch.gt_seg).sizes().vec();
  sizes.insert(sizes.begin() + 1, static_cast<int64_t>(batch.labels_from_gt_seg.size()));
  return sizes;
}

// Affinities of the ids [B, Z, Y, X] as 0 and 1 [B, offsets, Z, Y, X]. `Int` is of the ids' size.
template <typename Int>
void ComputeAffinities(const at::Tensor& ids, const std::vector<Offset>& offsets,
                       const Context& context, const at::Tensor& affinities) {
  const GridShape shape = {.z = ids.size(1), .y = ids.size(2), .x = ids.size(3)};
  const auto volume = static_cast<size_t>(shape.voxels());
  const auto* const labels = static_cast<const Int*>(ids.const_data_ptr());
  auto* const out = affinities.mutable_data_ptr<uint8_t>();
  for (size_t b = 0; b < static_cast<size_t>(ids.size(0)); ++b) {
    AffinitiesFromLabels(
        shape, offsets, absl::MakeConstSpan(labels + b * volume, volume), context,
        absl::MakeSpan(out + b * offsets.size() * volume, offsets.size() * volume));
  }
}

at::Tensor DerivedLabels(const Batch& batch, const Context& context) {
  const at::Tensor ids = BySample(batch.gt_seg).to(at::kCPU).contiguous();
  std::vector<Offset> offsets;
  for (const VoxelIndex& offset : batch.labels_from_gt_seg) {
    offsets.push_back({.z = offset[0], .y = offset[1], .x = offset[2]});
  }
  const at::Tensor affinities = at::empty(LabelSizes(batch), at::kByte);
  const auto compute = [&](auto id) {
    ComputeAffinities<decltype(id)>(ids, offsets, context, affinities);
  };
  switch (ids.element_size()) {
    case 1:
      compute(uint8_t{});
      break;
    case 2:
      compute(uint16_t{});
      break;
    case 4:
      compute(uint32_t{});
      break;
    default:
      compute(uint64_t{});
  }
  return ToType(affinities, at::kFloat, context).to(batch.gt_seg.device());
}

Batch WithLabels(Batch batch, at::Tensor labels) {
  batch.labels = std::move(labels);
  batch.labels_from_gt_seg.clear();
  return batch;
}

}  // namespace

absl::StatusOr<Batch> WithDerivedLabels(Batch batch, const Context& context) {
  if (batch.gt_seg.defined() && batch.gt_seg.is_meta()) return WithLabelStandIn(std::move(batch));
  if (batch.labels_from_gt_seg.empty()) return batch;
  if (absl::Status status = CheckDerivable(batch); !status.ok()) return status;
  at::Tensor labels = DerivedLabels(batch, context);
  return WithLabels(std::move(batch), std::move(labels));
}

absl::StatusOr<Batch> WithLabelStandIn(Batch batch) {
  if (batch.labels_from_gt_seg.empty()) return batch;
  if (absl::Status status = CheckDerivable(batch); !status.ok()) return status;
  at::Tensor labels = at::empty(LabelSizes(batch), at::TensorOptions(at::kMeta).dtype(at::kFloat));
  return WithLabels(std::move(batch), std::move(labels));
}

}  // namespace lossd
