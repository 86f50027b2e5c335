#include "lossd/orchestrator/diagnostics.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "lossd/base/error.h"
#include "lossd/losses/checks.h"

namespace lossd {

std::string DescribeTensor(absl::string_view name, const at::Tensor& tensor) {
  std::string text = absl::StrCat(name, " ", ShapeText(tensor), ": ");
  const at::Tensor finite = at::isfinite(tensor);
  const at::Tensor values = tensor.masked_select(finite);
  if (values.numel() == 0) {
    absl::StrAppend(&text, "no finite value, ");
  } else {
    const at::Tensor wide = values.to(at::kDouble);
    absl::StrAppendFormat(&text, "finite values in [%.6g, %.6g], ", wide.min().item<double>(),
                          wide.max().item<double>());
  }
  absl::StrAppend(&text, at::isnan(tensor).sum().item<int64_t>(), " NaN, ",
                  at::isinf(tensor).sum().item<int64_t>(), " Inf");
  if (values.numel() == tensor.numel()) return text;
  absl::StrAppend(&text, ", share that is not finite per sample ");
  // Enough to see which samples are at fault.
  constexpr int64_t kMaxShown = 16;
  const int64_t samples = tensor.size(0);
  for (int64_t i = 0; i < std::min(samples, kMaxShown); ++i) {
    const auto share = 1 - finite[i].to(at::kDouble).mean().item<double>();
    absl::StrAppendFormat(&text, "%s%.4f", i > 0 ? ", " : "", share);
  }
  if (samples > kMaxShown) text.append(", …");
  return text;
}

absl::Status NotFiniteError(const PlanTerm& term, int scale, double value,
                            const LossInputs& inputs) {
  std::vector<std::string> tensors;
  const auto describe = [&](absl::string_view name, const at::Tensor& tensor) {
    if (tensor.defined()) tensors.push_back(DescribeTensor(name, tensor));
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
