#include "lossd/compute/diagnostics.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>
#include <mutex>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "lossd/base/error.h"
#include "lossd/losses/checks.h"
#include "lossd/sweep/slabs.h"

namespace lossd {
namespace {

// What there is in a tensor [B, C, …].
struct Contents {
  double least = std::numeric_limits<double>::infinity();  // Of what is finite.
  double greatest = -std::numeric_limits<double>::infinity();
  int64_t nan = 0;
  int64_t inf = 0;
  std::vector<int64_t> finite;  // By sample.
};

Contents ContentsOf(const at::Tensor& tensor, const Context& context) {
  Contents contents;
  contents.finite.resize(tensor.size(0));
  std::mutex mutex;
  ForEachSlab(tensor.sizes(), context, [&](const Slab& slab) {
    const at::Tensor part = slab.Of(tensor);
    const at::Tensor values = part.masked_select(at::isfinite(part)).to(at::kDouble);
    const auto nan = at::isnan(part).sum().item<int64_t>();
    const std::scoped_lock lock(mutex);
    contents.nan += nan;
    contents.inf += part.numel() - values.numel() - nan;
    contents.finite[slab.sample] += values.numel();
    if (values.numel() == 0) return absl::OkStatus();
    contents.least = std::min(contents.least, values.min().item<double>());
    contents.greatest = std::max(contents.greatest, values.max().item<double>());
    return absl::OkStatus();
  }).IgnoreError();
  return contents;
}

}  // namespace

std::string DescribeTensor(absl::string_view name, const at::Tensor& tensor,
                           const Context& context) {
  std::string text = absl::StrCat(name, " ", ShapeText(tensor), ": ");
  const int64_t samples = tensor.size(0);
  const Contents contents =
      ContentsOf(tensor.dim() < 3 ? tensor.reshape({samples, 1, -1}) : tensor, context);
  if (contents.nan + contents.inf == tensor.numel()) {
    absl::StrAppend(&text, "no finite value, ");
  } else {
    absl::StrAppendFormat(&text, "finite values in [%.6g, %.6g], ", contents.least,
                          contents.greatest);
  }
  absl::StrAppend(&text, contents.nan, " NaN, ", contents.inf, " Inf");
  if (contents.nan + contents.inf == 0) return text;
  absl::StrAppend(&text, ", share that is not finite per sample ");
  // Enough to see which samples are at fault.
  constexpr int64_t kMaxShown = 16;
  const int64_t elements = tensor.numel() / samples;
  const auto size = static_cast<double>(elements);
  for (int64_t i = 0; i < std::min(samples, kMaxShown); ++i) {
    absl::StrAppendFormat(&text, "%s%.4f", i > 0 ? ", " : "",
                          1 - static_cast<double>(contents.finite[i]) / size);
  }
  if (samples > kMaxShown) text.append(", …");
  return text;
}

absl::Status NotFiniteError(const PlanTerm& term, int scale, double value, const LossInputs& inputs,
                            const Context& context) {
  std::vector<std::string> tensors;
  const auto describe = [&](absl::string_view name, const at::Tensor& tensor) {
    if (tensor.defined()) tensors.push_back(DescribeTensor(name, tensor, context));
  };
  describe("pred", inputs.pred);
  describe("pred2", inputs.pred2);
  describe("target", inputs.target);
  describe("mask", inputs.weight);
  if (inputs.pos_weight.has_value()) {
    tensors.push_back(absl::StrCat("pos_weight ", *inputs.pos_weight));
  }
  const absl::string_view and_gradient =
      std::isfinite(value) ? ", but its gradient is not finite" : "";
  return WithReason(
      "NOT_FINITE",
      FieldError(term.path, absl::StrCat("the loss of ", term.name, " (", term.traits->name,
                                         ") at scale ", scale, " is ", value, and_gradient, "; ",
                                         absl::StrJoin(tensors, "; "))));
}

}  // namespace lossd
