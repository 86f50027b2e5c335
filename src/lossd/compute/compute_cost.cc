#include "lossd/compute/compute_cost.h"

#include <vector>

#include "lossd/losses/loss.h"

namespace lossd {

double ComputeCost(const Schedule& schedule, const Batch& batch) {
  double cost = 0;
  // Each is read and written once, whatever is computed.
  for (const NamedTensor& prediction : batch.predictions) {
    cost += static_cast<double>(prediction.tensor.numel());
  }
  for (const Scale& scale : schedule.scales) {
    for (const Evaluation& evaluation : scale.evaluations) {
      LossShape shape = {.pred = batch.predictions[evaluation.pred].tensor.sizes().vec()};
      shape.pred[1] = evaluation.pred_channels.size();
      cost += evaluation.term->loss->Cost(shape);
    }
  }
  return cost;
}

}  // namespace lossd
