#include "lossd/losses/regularisers/contour_distance_consistency.h"

#include "lossd/losses/regularisers/consistency_loss.h"

namespace lossd {
namespace {

class ContourDistance : public ConsistencyLoss {
 protected:
  at::Tensor Compare(const at::Tensor& contour, const at::Tensor& distance) const override {
    return (contour.sigmoid() * distance.tanh()).square();
  }
};

}  // namespace

std::unique_ptr<const Loss> ContourDistanceConsistency::Make() const {
  return std::make_unique<ContourDistance>();
}

}  // namespace lossd
