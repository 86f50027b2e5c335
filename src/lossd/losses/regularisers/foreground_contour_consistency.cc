#include "lossd/losses/regularisers/foreground_contour_consistency.h"

#include <vector>

#include "lossd/losses/regularisers/consistency_loss.h"
#include "lossd/sweep/pooling.h"

namespace lossd {
namespace {

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

std::unique_ptr<const Loss> ForegroundContourConsistency::Make() const {
  return std::make_unique<ForegroundContour>(eps);
}

}  // namespace lossd
