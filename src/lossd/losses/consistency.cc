#include "lossd/losses/consistency.h"

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/map_loss.h"
#include "lossd/losses/pooling.h"
#include "lossd/losses/reduction.h"

namespace lossd {
namespace {

// A mean over a map of two predictions.
class ConsistencyLoss : public MapLoss {
 public:
  explicit ConsistencyLoss(BlockShape shape = BlockShape::kVoxels)
      : MapLoss(v1::REDUCTION_MEAN, shape) {}

 protected:
  absl::Status Check(const LossInputs& inputs) const override {
    if (absl::Status status = FirstError(
            {CheckPrediction("pred", inputs.pred), CheckPrediction("pred2", inputs.pred2)});
        !status.ok()) {
      return status;
    }
    return FirstError({CheckLikePrediction("pred2", inputs.pred2, inputs.pred),
                       CheckBroadcastable("weight", inputs.weight, inputs.pred)});
  }

  absl::StatusOr<at::Tensor> Map(const LossInputs& inputs) const final {
    return TimesMask(Compare(inputs.pred, inputs.pred2), inputs.weight);
  }

  virtual at::Tensor Compare(const at::Tensor& first, const at::Tensor& second) const = 0;
};

class ForegroundDistance : public ConsistencyLoss {
 protected:
  at::Tensor Compare(const at::Tensor& foreground, const at::Tensor& distance) const override {
    const at::Tensor inside = distance.tanh();
    return -at::log_sigmoid(foreground) * inside.clamp_min(0) +
           at::log_sigmoid(-foreground) * inside.clamp_max(0);
  }
};

class ContourDistance : public ConsistencyLoss {
 protected:
  at::Tensor Compare(const at::Tensor& contour, const at::Tensor& distance) const override {
    return (contour.sigmoid() * distance.tanh()).square();
  }
};

class ForegroundContour : public ConsistencyLoss {
 public:
  // Edges are those in a plane.
  explicit ForegroundContour(double eps) : ConsistencyLoss(BlockShape::kPlanes), eps_(eps) {}

 protected:
  at::Tensor Compare(const at::Tensor& foreground, const at::Tensor& contour) const override {
    return (Edges(foreground.sigmoid()) - contour.sigmoid()).square();
  }

 private:
  // The difference of a voxel's neighbours along a dimension, 0 outside the volume.
  static at::Tensor CentralDifference(const at::Tensor& values, int64_t dim) {
    const int64_t size = values.size(dim);
    std::vector<int64_t> padding(2 * (values.dim() - dim), 0);
    padding[padding.size() - 2] = padding[padding.size() - 1] = 1;
    const at::Tensor padded = at::constant_pad_nd(values, padding);
    return padded.narrow(dim, 0, size) - padded.narrow(dim, 2, size);
  }

  // In-plane edge magnitude, widened by one voxel.
  at::Tensor Edges(const at::Tensor& probability) const {
    const int64_t dims = probability.dim();
    const at::Tensor along_x = CentralDifference(probability, dims - 1);
    const at::Tensor along_y = CentralDifference(probability, dims - 2);
    const at::Tensor magnitude =
        (along_x.square() + along_y.square() + eps_).sqrt().clamp(eps_, 1 - eps_);
    std::vector<int64_t> window(dims - 2, 1);
    window[dims - 3] = window[dims - 4] = 3;
    return MaxPool(magnitude, window);
  }

  const double eps_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Loss>> CreateForegroundDistanceConsistency(
    const v1::LossOptions& /*options*/) {
  return std::make_unique<ForegroundDistance>();
}

absl::StatusOr<std::unique_ptr<const Loss>> CreateContourDistanceConsistency(
    const v1::LossOptions& /*options*/) {
  return std::make_unique<ContourDistance>();
}

absl::StatusOr<std::unique_ptr<const Loss>> CreateForegroundContourConsistency(
    const v1::LossOptions& options) {
  const auto& own = options.foreground_contour_consistency();
  if (own.kernel_half_size() != 1) {
    return FieldError("kernel_half_size", absl::StrCat(own.kernel_half_size()),
                      "1: other windows change the volume's size");
  }
  if (!(own.eps() > 0 && own.eps() < 0.5)) {
    return FieldError("eps", absl::StrCat(own.eps()), "a number in (0, 0.5)");
  }
  return std::make_unique<ForegroundContour>(own.eps());
}

}  // namespace lossd
