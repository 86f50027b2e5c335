#include "lossd/losses/overlap/dice_focal.h"

#include "lossd/losses/overlap/dice.h"
#include "lossd/losses/pointwise/focal.h"
#include "lossd/sweep/loss_sum.h"

namespace lossd {

std::unique_ptr<const Loss> DiceFocal::Make() const {
  const Dice dice = {.include_background = include_background,
                     .to_onehot_y = to_onehot_y,
                     .sigmoid = sigmoid,
                     .softmax = softmax,
                     .squared_pred = squared_pred,
                     .jaccard = jaccard,
                     .reduction = reduction,
                     .smooth_nr = smooth_nr,
                     .smooth_dr = smooth_dr,
                     .batch = batch,
                     .weight = weight};
  const Focal focal = {.include_background = include_background,
                       .to_onehot_y = to_onehot_y,
                       .gamma = gamma,
                       .alpha = alpha,
                       .weight = weight,
                       .reduction = reduction};
  return MakeLossSum({lambda_dice, dice.Make()}, {lambda_focal, focal.Make()});
}

}  // namespace lossd
