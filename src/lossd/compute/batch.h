#ifndef LOSSD_COMPUTE_BATCH_H_
#define LOSSD_COMPUTE_BATCH_H_

#include <ATen/core/Tensor.h>

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "lossd/malis/malis_pass.h"

namespace lossd {

// A voxel as (z, y, x).
using VoxelIndex = std::array<int64_t, 3>;

struct NamedTensor {
  std::string name;
  at::Tensor tensor;
};

enum class Mode { kStandard, kDeepSupervision };

// What a plan is computed on. An undefined tensor is an absent one. All tensors are on one device.
struct Batch {
  Mode mode = Mode::kStandard;
  // Prefix of the log keys.
  std::string stage = "train";
  // [B, C, Z, Y, X] or [B, C, Y, X], float32, float16 or bfloat16. A single unnamed prediction is
  // "output"; at the coarser scales of deep supervision it is "ds_1" … "ds_4", the head aff is
  // "ds_1/aff".
  std::vector<NamedTensor> predictions;
  // [B, L, …], any dtype.
  at::Tensor labels;
  // Instead of labels: offsets (z, y, x), for labels that are gt_seg's affinities along them.
  std::vector<VoxelIndex> labels_from_gt_seg;
  // [B or 1, 1 or C, …]: 0 and 1 in bool or integers, weights in floating point.
  at::Tensor mask;
  // The shape of labels, bool or uint8 of 0 and 1.
  at::Tensor label_mask;
  // [B, Z, Y, X], [B, 1, Z, Y, X] or, when B is 1, [Z, Y, X]; integer. Unsigned 64-bit ids arrive
  // as int64 of the same bits: ids are only compared.
  at::Tensor gt_seg;
  // First voxel of the crop, one per evaluation of a cropped MALIS term in the order scale, then
  // term, or one for all. Empty: drawn from malis_crop_seed.
  std::vector<VoxelIndex> malis_crop_origins;
  // The same seed draws the same origins. Absent: a server draws a seed too, the library takes 0.
  std::optional<uint64_t> malis_crop_seed;
  // Uncertainty balancing; zeros when empty.
  std::vector<double> log_vars;
  // GradNorm balancing; ones when empty.
  std::vector<double> task_weights;
  bool per_term_gradients = false;
  // Gradients in float32, whatever the predictions are: in float16 small ones underflow.
  bool float32_gradients = false;
  bool losses_only = false;
  // Losses and gradients that are not finite are answers, not errors.
  bool allow_non_finite = false;
};

// One term at one scale.
struct TermOutcome {
  std::string name;      // "term_<index in the plan>"
  std::string function;  // Name of the loss.
  int scale = 0;
  double raw = 0;
  double coefficient = 1;
  double weighted = 0;
  double balance_weight = 1;
  std::optional<VoxelIndex> malis_crop_origin;
  MalisPairs malis_pairs;
  absl::Duration time;
  // Of `weighted`, one per prediction it depends on; empty unless asked for.
  std::vector<NamedTensor> gradients;
};

// Losses and gradients of a batch.
struct Outcome {
  double total = 0;
  // Keys and values in the order in which they arise.
  std::vector<std::pair<std::string, double>> logs;
  std::vector<TermOutcome> terms;
  // One per prediction of the batch, in its order and shape, and its dtype unless float32 was asked
  // for; empty when only losses are.
  std::vector<NamedTensor> gradients;
  std::vector<double> log_vars_gradient;
  // Whether malis_crop_seed was used.
  bool drew_crop_origin = false;
};

}  // namespace lossd

#endif  // LOSSD_COMPUTE_BATCH_H_
