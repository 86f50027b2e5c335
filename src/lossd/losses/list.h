#ifndef LOSSD_LOSSES_LIST_H_
#define LOSSD_LOSSES_LIST_H_

#include "lossd/losses/gan.h"
#include "lossd/losses/malis_loss.h"
#include "lossd/losses/overlap/dice.h"
#include "lossd/losses/overlap/dice_ce.h"
#include "lossd/losses/overlap/dice_focal.h"
#include "lossd/losses/overlap/generalized_dice.h"
#include "lossd/losses/overlap/soft_cldice.h"
#include "lossd/losses/overlap/tversky.h"
#include "lossd/losses/pointwise/bce_with_logits.h"
#include "lossd/losses/pointwise/cross_entropy.h"
#include "lossd/losses/pointwise/focal.h"
#include "lossd/losses/pointwise/l1.h"
#include "lossd/losses/pointwise/log_cosh.h"
#include "lossd/losses/pointwise/mse.h"
#include "lossd/losses/pointwise/per_channel_bce.h"
#include "lossd/losses/pointwise/scnp.h"
#include "lossd/losses/pointwise/smooth_l1.h"
#include "lossd/losses/pointwise/weighted_bce.h"
#include "lossd/losses/pointwise/weighted_mae.h"
#include "lossd/losses/pointwise/weighted_mse.h"
#include "lossd/losses/regularisers/binary_regularization.h"
#include "lossd/losses/regularisers/contour_distance_consistency.h"
#include "lossd/losses/regularisers/foreground_contour_consistency.h"
#include "lossd/losses/regularisers/foreground_distance_consistency.h"
#include "lossd/losses/regularisers/non_overlap_regularization.h"

namespace lossd {

template <typename... Types>
struct TypeList {};

// Every loss, by name. The only list there is: plans, ListLosses, docs, benchmarks and tests follow
// from it, and so do the sweeps that are compiled.
// clang-format off: a line each.
using Losses = TypeList<
    BCEWithLogits,
    BinaryRegularization,
    ContourDistanceConsistency,
    CrossEntropy,
    DiceCE,
    DiceFocal,
    Dice,
    Focal,
    ForegroundContourConsistency,
    ForegroundDistanceConsistency,
    GAN,
    GeneralizedDice,
    L1,
    LogCosh,
    MSE,
    Malis,
    NonOverlapRegularization,
    PerChannelBCE,
    Scnp,
    SmoothL1,
    SoftClDice,
    Tversky,
    WeightedBCE,
    WeightedMAE,
    WeightedMSE>;
// clang-format on

}  // namespace lossd

#endif  // LOSSD_LOSSES_LIST_H_
