#ifndef LOSSD_LOSSES_MALIS_LOSS_H_
#define LOSSD_LOSSES_MALIS_LOSS_H_

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "lossd/losses/option.h"
#include "lossd/losses/traits.h"
#include "lossd/malis/grid.h"

namespace lossd {

class Loss;

// Affinity error squared × the MALIS weights (lossd/malis/malis.h), of logits or affinities [B,
// C, Z, Y, X], one channel an offset of nhood. LossInputs.weight is the mask: an edge is known
// where it is 1; it may lack the channel dimension. gt_seg is [B, Z, Y, X], [B, 1, Z, Y, X] or,
// when B is 1, [Z, Y, X]. With a crop, crop_origin is required.
struct Malis {
  static constexpr LossTraits kTraits = {
      .name = "MalisLoss",
      .summary = "Squared affinity error where it decides what is connected.",
      .source = "Turaga et al., NIPS 2009; Funke et al., IEEE TPAMI 2018",
      .definition =
          "Σ w·(a − t)², w the share of voxel pairs whose connectivity hangs on the edge; also "
          "takes gt_seg",
      .spatial_weight_arg = SpatialWeightArg::kMask,
      .takes_gt_seg = true};

  std::vector<Offset> nhood = {};
  Reduction reduction = Reduction::kSum;
  bool sigmoid = true;
  std::vector<int64_t> malis_crop_size = {};
  std::optional<int64_t> malis_num_workers = {};

  OptionList Options() {
    static constexpr Range kSizes = {"numbers >= 1", [](double n) { return n >= 1; }};
    static constexpr Range kWorkers = {"a number >= 1", [](double n) { return n >= 1; }};
    return {
        {"nhood", &nhood,
         "The offset [z, y, x] of each channel; [[-1, 0, 0], [0, -1, 0], [0, 0, -1]] when absent."},
        {"reduction", &reduction, "Of the weighted squared error."},
        {"sigmoid", &sigmoid, "Whether predictions are logits."},
        {"malis_crop_size", &malis_crop_size,
         "Size of the crop, one number or [z, y, x]; no crop when absent.", kSizes},
        {"malis_num_workers", &malis_num_workers, "Accepted for compatibility; has no effect.",
         kWorkers}};
  }
  std::optional<OptionProblem> Check() const;

  // The offset of each channel: nhood, or its default.
  std::vector<Offset> Neighborhood() const;
  int64_t Channels() const { return static_cast<int64_t>(Neighborhood().size()); }
  std::optional<std::array<int64_t, 3>> CropSize() const;
  std::unique_ptr<const Loss> Make() const;
};

}  // namespace lossd

#endif  // LOSSD_LOSSES_MALIS_LOSS_H_
