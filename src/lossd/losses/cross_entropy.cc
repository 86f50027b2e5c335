#include "lossd/losses/cross_entropy.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/reduction.h"

namespace lossd {
namespace {

class CrossEntropyLoss : public AutogradLoss {
 public:
  explicit CrossEntropyLoss(v1::CrossEntropyLossOptions options) : options_(std::move(options)) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = CheckPrediction("pred", inputs.pred); !status.ok()) return status;
    const int64_t classes = inputs.pred.size(1);
    if (options_.weight_size() != 0 && options_.weight_size() != classes) {
      return FieldError("kwargs.weight", absl::StrCat(options_.weight_size(), " values"),
                        absl::StrCat("one for each of the ", classes, " classes"));
    }
    return CheckClassTarget(inputs.target, inputs.pred);
  }

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    const at::Tensor indices = ClassIndices(inputs.target, inputs.pred);
    if (absl::Status status =
            CheckClassIndices(indices, inputs.pred.size(1), options_.ignore_index());
        !status.ok()) {
      return status;
    }
    std::optional<at::Tensor> weight;
    if (options_.weight_size() != 0) {
      weight = at::tensor(std::vector<double>(options_.weight().begin(), options_.weight().end()),
                          inputs.pred.options());
    }
    return at::cross_entropy_loss(inputs.pred, indices, weight,
                                  TorchReduction(options_.reduction()), options_.ignore_index(),
                                  options_.label_smoothing());
  }

 private:
  const v1::CrossEntropyLossOptions options_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Loss>> CreateCrossEntropyLoss(const v1::LossOptions& options) {
  const auto& own = options.cross_entropy();
  if (absl::Status status =
          FirstError({CheckReduction(own.reduction()), CheckFiniteList("weight", own.weight()),
                      CheckFraction("label_smoothing", own.label_smoothing())});
      !status.ok()) {
    return status;
  }
  return std::make_unique<CrossEntropyLoss>(own);
}

}  // namespace lossd
