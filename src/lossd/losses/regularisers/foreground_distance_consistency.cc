#include "lossd/losses/regularisers/foreground_distance_consistency.h"

#include "lossd/losses/regularisers/consistency_loss.h"

namespace lossd {
namespace {

class ForegroundDistance : public ConsistencyLoss {
 protected:
  at::Tensor Compare(const at::Tensor& foreground, const at::Tensor& distance) const override {
    const at::Tensor inside = distance.tanh();
    return -at::log_sigmoid(foreground) * inside.clamp_min(0) +
           at::log_sigmoid(-foreground) * inside.clamp_max(0);
  }
};

}  // namespace

std::unique_ptr<const Loss> ForegroundDistanceConsistency::Make() const {
  return std::make_unique<ForegroundDistance>();
}

}  // namespace lossd
