#ifndef LOSSD_SWEEP_LOSS_SUM_H_
#define LOSSD_SWEEP_LOSS_SUM_H_

#include <memory>

#include "lossd/losses/loss.h"

namespace lossd {

// A loss and the factor that it has in a sum.
struct Summand {
  double factor;
  std::unique_ptr<const Loss> loss;
};

// first + second, both of the same inputs. The second may be a map that the first is added to.
std::unique_ptr<const Loss> MakeLossSum(Summand first, Summand second);

}  // namespace lossd

#endif  // LOSSD_SWEEP_LOSS_SUM_H_
