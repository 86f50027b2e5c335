#ifndef LOSSD_SWEEP_KERNELS_H_
#define LOSSD_SWEEP_KERNELS_H_

#include <cstdint>

// The inner loops of the fused losses: value and gradient of a block of elements in one go.
// Compiled for several instruction sets, the best of which is chosen when the program starts.
// Blocks are contiguous; sums are in double, so they do not depend on the width of vectors by more
// than its rounding.
namespace lossd {

// A block of a loss that is a map × weight.
struct PointwiseBlock {
  const float* pred;
  const float* target;
  const float* weight;  // Null: 1 everywhere.
  float* gradient;      // Null: not wanted.
  int64_t size;
};

struct PointwiseOptions {
  // Elements whose weight is not above this count nothing, whatever their prediction.
  float weight_floor;
  // Factor on the gradient, not on the value.
  float gradient_scale;
  bool tanh = false;  // Of losses of a difference: it is that of tanh(pred).
};

// Sum of weight × loss; gradient = gradient_scale × weight × d loss / d pred. `element` is an
// element function (element.h) of the type that the kernel was compiled for.
using PointwiseKernel = double (*)(const void* element, const PointwiseBlock& block,
                                   const PointwiseOptions& options);

// That of the element function of a loss of list.h, by its place there; any_element.h calls it.
PointwiseKernel KernelOfLoss(int index);

// What there is among the elements whose weight is above 0 (all when `weight` is null).
struct BlockCounts {
  int64_t valid = 0;
  int64_t positives = 0;  // target > 0
  int64_t negatives = 0;  // target <= 0
};
int64_t CountWeightsBlock(const float* weight, int64_t size);  // valid alone
BlockCounts CountBlock(const float* target, const float* weight, int64_t size);

// Sums that overlaps are made of, p being the prediction or its sigmoid.
struct OverlapSums {
  double common = 0;  // Σ p·target
  double pred = 0;    // Σ p
  double target = 0;  // Σ target
};
OverlapSums OverlapBlock(const float* pred, const float* target, bool sigmoid, int64_t size);

// gradient = (common × target + pred) × d p / d pred.
void OverlapGradientBlock(const float* pred, const float* target, bool sigmoid, float common,
                          float pred_factor, int64_t size, float* gradient);

// What ScnpLoss compares voxels by: their class (1 where target > 0.5, else 0) and how bad the
// prediction is for it (−pred or pred).
void BadnessBlock(const float* pred, const float* target, int64_t size, float* badness,
                  int32_t* voxel_class);

// A row of voxels and the window around each of them. All of it is there to read: a border outside
// the volume has no class, −1.
struct NeighbourWindow {
  const float* badness;        // Of the row's first voxel.
  const int32_t* voxel_class;  // Likewise.
  int64_t radius[3];           // Along planes, rows and voxels of a row.
  int64_t stride[2];           // From plane to plane, and from row to row.
  int64_t volume_stride[2];    // The same in the volume that `offset` refers to.
};

// For each voxel of a row, the worst among those of its class in its window, and the offset in the
// volume of the first that is as bad. NaN is the worst of all.
void WorstNeighbours(const NeighbourWindow& window, int64_t size, float* worst, int32_t* offset);

// affinity = pred or its sigmoid, positive = target > 0.5, known = mask == 1 (1 when `mask` is
// null). False when an affinity is not a number.
bool AffinityBlock(const float* pred, const float* target, const float* mask, bool sigmoid,
                   int64_t size, float* affinity, uint8_t* positive, uint8_t* known);

// σ of each element: the same for the same number, wherever in the block it stands, as the compiler
// makes one sequence of operations of the loop's vectors and of its rest.
void SigmoidBlock(const float* elements, int64_t size, float* out);

// out = elements clamped to [min, max], NaN staying NaN; `out` may be `elements`.
void ClampBlock(const float* elements, float min, float max, int64_t size, float* out);

// weighted = weight × foreground where target > 0, else weight × background; `weighted` may be
// `weight`, a null weight is 1.
void ClassWeightBlock(const float* weight, const float* target, float foreground, float background,
                      int64_t size, float* weighted);

// out = elements where `known`, else `otherwise`; `out` may be `elements`.
void KeepBlock(const float* elements, const bool* known, float otherwise, int64_t size, float* out);

// Half-precision numbers, by their bits, as float32.
void WidenHalf(const uint16_t* half, int64_t size, float* wide);
void WidenBfloat16(const uint16_t* half, int64_t size, float* wide);
// And back, to the nearest, ties to even. False when one is not finite then.
bool NarrowHalf(const float* wide, int64_t size, uint16_t* half);
bool NarrowBfloat16(const float* wide, int64_t size, uint16_t* half);

// sum += factor × gradient, or with `add` false sum = factor × gradient, which may be the same
// array. False when a product is not finite.
bool AddScaledBlock(const float* gradient, float factor, bool add, int64_t size, float* sum);

// A block of NonOverlapRegularization: logits of three channels, the last of which may be missing.
struct ExclusiveChannels {
  const float* first;
  const float* second;
  const float* cleft;      // Null: 1 everywhere.
  float* first_gradient;   // Null, with the other: not wanted.
  float* second_gradient;  // gradient_scale × the derivative of the sum.
  int64_t size;
};

// Sum of σ(first) × σ(second) × σ(cleft), the last held constant.
double NonOverlapBlock(const ExclusiveChannels& block, float gradient_scale);

// A block of MALIS's squared error.
struct AffinityErrors {
  const float* affinity;
  const float* target;
  const float* weight;
  float* gradient;  // Null: not wanted. May be `weight`.
  float* loss;      // Null: not wanted.
  int64_t size;
};

// Sum of weight × (affinity − target)²; loss = its summands, gradient = gradient_scale × its
// derivative with respect to the prediction, of which the affinity is the sigmoid when `sigmoid`.
double AffinityErrorBlock(const AffinityErrors& block, bool sigmoid, float gradient_scale);

}  // namespace lossd

#endif  // LOSSD_SWEEP_KERNELS_H_
