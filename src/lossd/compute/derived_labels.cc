#include "lossd/compute/derived_labels.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <limits>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/checks.h"
#include "lossd/malis/affinities.h"
#include "lossd/sweep/slabs.h"
#include "lossd/tensor/words.h"

namespace lossd {
namespace {

absl::Status CheckDerivable(const Batch& batch) {
  if (batch.labels.defined()) {
    return FieldError("labels", "a tensor", "none, as labels_from_gt_seg says what they are");
  }
  if (!batch.gt_seg.defined()) {
    return FieldError("gt_seg", "none", "one, as labels_from_gt_seg makes labels of it");
  }
  if (absl::Status typed = CheckSegmentationType(batch.gt_seg); !typed.ok()) return typed;
  const at::Tensor by_sample = SegmentationBySample(batch.gt_seg);
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
  std::vector<int64_t> sizes = SegmentationBySample(batch.gt_seg).sizes().vec();
  sizes.insert(sizes.begin() + 1, static_cast<int64_t>(batch.labels_from_gt_seg.size()));
  return sizes;
}

// As a LibTorch expression.
at::Tensor DerivedLabelsOnGpu(const Batch& batch) {
  const at::Tensor ids = SegmentationBySample(batch.gt_seg);
  at::Tensor labels = at::zeros(LabelSizes(batch), ids.options().dtype(at::kFloat));
  for (size_t c = 0; c < batch.labels_from_gt_seg.size(); ++c) {
    at::Tensor from = ids;
    at::Tensor to = ids;
    at::Tensor edges = labels.select(1, static_cast<int64_t>(c));
    for (int64_t d = 0; d < 3; ++d) {
      const int64_t size = ids.size(d + 1);
      const int64_t step = std::clamp(batch.labels_from_gt_seg[c][d], -size, size);
      const int64_t begin = std::max<int64_t>(0, -step);
      const int64_t length = size - std::abs(step);
      from = from.narrow(d + 1, begin, length);
      to = to.narrow(d + 1, begin + step, length);
      edges = edges.narrow(d + 1, begin, length);
    }
    edges.copy_(from.eq(to).logical_and_(from.ne(0)));
  }
  return labels;
}

at::Tensor DerivedLabels(const Batch& batch, const Context& context) {
  if (context.on_gpu()) return DerivedLabelsOnGpu(batch);
  const at::Tensor ids = SegmentationBySample(batch.gt_seg).contiguous();
  const GridShape shape = {.z = ids.size(1), .y = ids.size(2), .x = ids.size(3)};
  std::vector<Offset> offsets;
  for (const VoxelIndex& offset : batch.labels_from_gt_seg) {
    offsets.push_back({.z = offset[0], .y = offset[1], .x = offset[2]});
  }
  const at::Tensor affinities = at::empty(LabelSizes(batch), at::kByte);
  auto* const out = affinities.mutable_data_ptr<uint8_t>();
  const auto volume = static_cast<size_t>(shape.voxels());
  const size_t of_sample = offsets.size() * volume;
  for (size_t b = 0; b < static_cast<size_t>(ids.size(0)); ++b) {
    VisitWords(ids, [&](const auto* words) {
      AffinitiesFromLabels(shape, offsets, absl::MakeConstSpan(words + b * volume, volume), context,
                           absl::MakeSpan(out + b * of_sample, of_sample));
    });
  }
  return ToType(affinities, at::kFloat, context);
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
