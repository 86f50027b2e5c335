#include "lossd/compute/mask_check.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lossd/base/error.h"
#include "lossd/sweep/slabs.h"

namespace lossd {
namespace {

// Of integers.
absl::Status CheckZeroOrOne(absl::string_view field, const at::Tensor& mask,
                            const Context& context) {
  if (!mask.defined() || mask.scalar_type() == at::kBool) return absl::OkStatus();
  const auto [least, greatest] = RangeOf<int64_t>(mask, context);
  if (least >= 0 && greatest <= 1) return absl::OkStatus();
  return FieldError(absl::StrCat(field, ".data"),
                    absl::StrCat("the value ", least < 0 ? least : greatest),
                    absl::StrCat("0 and 1, as integers say what is known: send ", field, " > 0"));
}

// Masks are factors of losses that may hide what they do to them.
absl::Status CheckFinite(absl::string_view field, const at::Tensor& mask, const Context& context) {
  const auto [low, high] = RangeOf(mask, context);
  if (std::isfinite(low) && std::isfinite(high)) return absl::OkStatus();
  return FieldError(absl::StrCat(field, ".data"), "a value that is not finite", "finite ones");
}

// The product of masks [B, C, Z, Y, X], broadcast, must be 1 somewhere or above 0 nowhere. Looks at
// a plane after the other, as the first one mostly tells.
absl::Status CheckKnownEdges(const PlanTerm& term, const std::string& field,
                             const std::vector<at::Tensor>& masks, const Context& context) {
  if (masks.empty()) return absl::OkStatus();
  const std::vector<at::Tensor> factors = at::broadcast_tensors(masks);
  const at::IntArrayRef sizes = factors.front().sizes();
  float greatest = 0;
  for (int64_t i = 0; i < sizes[0] * sizes[1] * sizes[2]; ++i) {
    if (context.Cancelled()) return context.status();
    at::Tensor plane = at::ones({}, at::kFloat);
    for (const at::Tensor& factor : factors) {
      plane = plane * factor.select(0, i / sizes[2] / sizes[1])
                          .select(0, i / sizes[2] % sizes[1])
                          .select(0, i % sizes[2])
                          .to(at::kFloat);
    }
    if (plane.eq(1).any().item<bool>()) return absl::OkStatus();
    greatest = std::max(greatest, plane.max().item<float>());
  }
  if (greatest == 0) return absl::OkStatus();
  return FieldError(field, absl::StrCat("values up to ", greatest, ", but nowhere 1"),
                    absl::StrCat("1 where edges are known and 0 elsewhere, as ", term.path, " is ",
                                 term.traits->name, " and takes no weights: send mask > 0"));
}

// Of a term whose mask says which edges are known. Masks of one size are looked at together.
absl::Status CheckKnownEdges(const Evaluation& evaluation, const Batch& batch,
                             const Context& context) {
  const PlanTerm& term = *evaluation.term;
  const bool exact =
      term.traits->takes_gt_seg && term.spec.spatial_weight_arg == SpatialWeightArg::kMask;
  if (!exact) return absl::OkStatus();
  std::vector<at::Tensor> masks;
  std::string field = "mask";
  if (evaluation.mask_channels.has_value()) {
    const ChannelRange& channels = *evaluation.mask_channels;
    masks.push_back(Part(batch.labels, 1, channels.start, channels.size()));
    field = absl::StrCat(term.path, ".mask_slice");
  }
  if (batch.label_mask.defined()) {
    const ChannelRange& channels = evaluation.target_channels;
    masks.push_back(Part(batch.label_mask, 1, channels.start, channels.size()));
  }
  if (!batch.mask.defined()) return CheckKnownEdges(term, field, masks, context);
  const bool one_size = batch.mask.sizes().slice(2) == batch.labels.sizes().slice(2);
  if (!one_size) {
    absl::Status status = CheckKnownEdges(term, field, masks, context);
    if (!status.ok()) return status;
    masks.clear();
    field = "mask";
  }
  masks.push_back(batch.mask);
  return CheckKnownEdges(term, field, masks, context);
}

}  // namespace

absl::Status CheckMaskValues(const Schedule& schedule, const Batch& batch, const Context& context) {
  absl::Status status;
  if (batch.mask.defined()) {
    status = batch.mask.is_floating_point() ? CheckFinite("mask", batch.mask, context)
                                            : CheckZeroOrOne("mask", batch.mask, context);
  }
  if (status.ok()) status = CheckZeroOrOne("label_mask", batch.label_mask, context);
  // Every term is at the finest scale.
  for (const Evaluation& evaluation : schedule.scales.front().evaluations) {
    if (!status.ok()) return status;
    status = CheckKnownEdges(evaluation, batch, context);
  }
  return status;
}

}  // namespace lossd
