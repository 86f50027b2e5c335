#include "lossd/losses/regression.h"

#include <optional>

#include "lossd/losses/checks.h"
#include "lossd/losses/fused_pointwise.h"
#include "lossd/losses/reduction.h"

namespace lossd {
namespace {

enum class ErrorKind { kSquared, kAbsolute, kSmoothL1 };

struct RegressionOptions {
  ErrorKind kind;
  v1::Reduction reduction = v1::REDUCTION_MEAN;
  double beta = 1;  // Of kSmoothL1.
  bool tanh = false;
  bool weighted = true;
};

class RegressionLoss : public PointwiseLoss {
 public:
  explicit RegressionLoss(const RegressionOptions& options) : options_(options) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override { return CheckPredTarget(inputs); }

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    const at::Tensor pred = options_.tanh ? inputs.pred.tanh() : inputs.pred;
    const at::Tensor map = ErrorMap(pred, inputs.target.to(pred.scalar_type()));
    return ReduceWeighted(map, options_.weighted ? inputs.weight : at::Tensor(),
                          options_.reduction);
  }

  std::optional<FusedPointwise> Fused(const LossInputs& /*inputs*/) const override {
    return FusedPointwise{.kernel = Kernel(),
                          .reduction = options_.reduction,
                          .weighted = options_.weighted,
                          .beta = options_.beta,
                          .tanh = options_.tanh};
  }

 private:
  PointwiseKernel Kernel() const {
    switch (options_.kind) {
      case ErrorKind::kSquared:
        return &SquaredErrorBlock;
      case ErrorKind::kAbsolute:
        return &AbsoluteErrorBlock;
      case ErrorKind::kSmoothL1:
        return &SmoothL1Block;
    }
    return nullptr;
  }

  at::Tensor ErrorMap(const at::Tensor& pred, const at::Tensor& target) const {
    switch (options_.kind) {
      case ErrorKind::kSquared:
        return at::mse_loss(pred, target, TorchReduction(v1::REDUCTION_NONE));
      case ErrorKind::kAbsolute:
        return at::l1_loss(pred, target, TorchReduction(v1::REDUCTION_NONE));
      case ErrorKind::kSmoothL1:
        return at::smooth_l1_loss(pred, target, TorchReduction(v1::REDUCTION_NONE), options_.beta);
    }
    return {};
  }

  const RegressionOptions options_;
};

absl::StatusOr<std::unique_ptr<const Loss>> Create(const RegressionOptions& options) {
  if (absl::Status status =
          FirstError({CheckReduction(options.reduction), CheckNotNegative("beta", options.beta)});
      !status.ok()) {
    return status;
  }
  return std::make_unique<RegressionLoss>(options);
}

}  // namespace

absl::StatusOr<std::unique_ptr<const Loss>> CreateMSELoss(const v1::LossOptions& options) {
  return Create({.kind = ErrorKind::kSquared,
                 .reduction = LegacyReduction(options.mse()),
                 .weighted = false});
}

absl::StatusOr<std::unique_ptr<const Loss>> CreateL1Loss(const v1::LossOptions& options) {
  return Create({.kind = ErrorKind::kAbsolute,
                 .reduction = LegacyReduction(options.l1()),
                 .weighted = false});
}

absl::StatusOr<std::unique_ptr<const Loss>> CreateWeightedMSELoss(const v1::LossOptions& options) {
  const auto& own = options.weighted_mse();
  return Create({.kind = ErrorKind::kSquared, .reduction = own.reduction(), .tanh = own.tanh()});
}

absl::StatusOr<std::unique_ptr<const Loss>> CreateWeightedMAELoss(const v1::LossOptions& options) {
  const auto& own = options.weighted_mae();
  return Create({.kind = ErrorKind::kAbsolute, .reduction = own.reduction(), .tanh = own.tanh()});
}

absl::StatusOr<std::unique_ptr<const Loss>> CreateSmoothL1Loss(const v1::LossOptions& options) {
  const auto& own = options.smooth_l1();
  // Without a quadratic part it is the absolute error, whose derivative at 0 is defined.
  const bool quadratic = own.beta() != 0;
  return Create({.kind = quadratic ? ErrorKind::kSmoothL1 : ErrorKind::kAbsolute,
                 .reduction = own.reduction(),
                 .beta = own.beta(),
                 .tanh = own.tanh()});
}

}  // namespace lossd
