#ifndef LOSSD_LOSSES_MALIS_LOSS_H_
#define LOSSD_LOSSES_MALIS_LOSS_H_

#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "lossd/affinity/grid.h"
#include "lossd/losses/loss.h"
#include "lossd/v1/options.pb.h"

// Maximin affinity learning (Turaga et al., NIPS 2009; Funke et al., IEEE TPAMI 2018).
namespace lossd {

// Affinity error squared × the MALIS weights (lossd/maximin/malis.h), of logits or affinities [B,
// C, Z, Y, X], one channel an offset of nhood. LossInputs.weight is the mask: an edge is known
// where it is 1; it may lack the channel dimension. gt_seg is [B, Z, Y, X], [B, 1, Z, Y, X] or,
// when B is 1, [Z, Y, X]. With a crop, crop_origin is required.
absl::StatusOr<std::unique_ptr<const Loss>> CreateMalisLoss(const v1::LossOptions& options);

// The offset of each channel: nhood, or its default.
std::vector<Offset> MalisNeighborhood(const v1::MalisLossOptions& options);

}  // namespace lossd

#endif  // LOSSD_LOSSES_MALIS_LOSS_H_
