// The functions of sweep/*.h that are compiled for each level: those of the level that runs.

#include <cstddef>
#include <vector>

#include "lossd/base/instruction_sets.h"
#include "lossd/sweep/cpu/kernel_tables.h"

namespace lossd {
namespace {

const BlockKernels& Blocks() { return CurrentKernels<BlockKernels>(); }
const SigmoidKernels& Sigmoids() { return CurrentKernels<SigmoidKernels>(); }
const SoftmaxKernels& Softmaxes() { return CurrentKernels<SoftmaxKernels>(); }
const MorphologyKernels& Morphology() { return CurrentKernels<MorphologyKernels>(); }
const SkeletonKernels& Skeletons() { return CurrentKernels<SkeletonKernels>(); }

std::vector<float> Rows(const PlaneShape& shape, int64_t count) {
  return std::vector<float>(static_cast<size_t>(count * shape.x));
}

}  // namespace

PointwiseKernel KernelOfLoss(int index) {
  return CurrentKernels<ElementKernels>().of_losses[index];
}

int64_t CountWeightsBlock(const float* weight, int64_t size) {
  return Blocks().count_weights(weight, size);
}

BlockCounts CountBlock(const float* target, const float* weight, int64_t size) {
  return Blocks().count(target, weight, size);
}

OverlapSums OverlapBlock(const float* pred, const float* target, bool sigmoid, int64_t size) {
  return Blocks().overlap(pred, target, sigmoid, size);
}

void OverlapGradientBlock(const float* pred, const float* target, bool sigmoid, float common,
                          float pred_factor, int64_t size, float* gradient) {
  Blocks().overlap_gradient(pred, target, sigmoid, common, pred_factor, size, gradient);
}

void BadnessBlock(const float* pred, const float* target, int64_t size, float* badness,
                  int32_t* voxel_class) {
  Blocks().badness(pred, target, size, badness, voxel_class);
}

void WorstNeighbours(const NeighbourWindow& window, int64_t size, float* worst, int32_t* offset) {
  Blocks().worst_neighbours(window, size, worst, offset);
}

bool AffinityBlock(const float* pred, const float* target, const float* mask, bool sigmoid,
                   int64_t size, float* affinity, uint8_t* positive, uint8_t* known) {
  return Sigmoids().affinity(pred, target, mask, sigmoid, size, affinity, positive, known);
}

void SigmoidBlock(const float* elements, int64_t size, float* out) {
  Sigmoids().sigmoid(elements, size, out);
}

void ClampBlock(const float* elements, float min, float max, int64_t size, float* out) {
  Blocks().clamp(elements, min, max, size, out);
}

void ClassWeightBlock(const float* weight, const float* target, float foreground, float background,
                      int64_t size, float* weighted) {
  Blocks().class_weight(weight, target, foreground, background, size, weighted);
}

void KeepBlock(const float* elements, const bool* known, float otherwise, int64_t size,
               float* out) {
  Blocks().keep(elements, known, otherwise, size, out);
}

void WidenHalf(const uint16_t* half, int64_t size, float* wide) {
  Blocks().widen_half(half, size, wide);
}

void WidenBfloat16(const uint16_t* half, int64_t size, float* wide) {
  Blocks().widen_bfloat16(half, size, wide);
}

bool NarrowHalf(const float* wide, int64_t size, uint16_t* half) {
  return Blocks().narrow_half(wide, size, half);
}

bool NarrowBfloat16(const float* wide, int64_t size, uint16_t* half) {
  return Blocks().narrow_bfloat16(wide, size, half);
}

bool AddScaledBlock(const float* gradient, float factor, bool add, int64_t size, float* sum) {
  return Blocks().add_scaled(gradient, factor, add, size, sum);
}

double NonOverlapBlock(const ExclusiveChannels& block, float gradient_scale) {
  return Blocks().non_overlap(block, gradient_scale);
}

double AffinityErrorBlock(const AffinityErrors& block, bool sigmoid, float gradient_scale) {
  return Blocks().affinity_error(block, sigmoid, gradient_scale);
}

double CrossEntropyBlock(const ClassBlock& block) { return Softmaxes().cross_entropy(block); }

void SoftmaxBlock(const SoftmaxVoxels& block) { Softmaxes().softmax(block); }

void OneHotBlock(const float* target, float of_class, int64_t size, float* out) {
  Softmaxes().one_hot(target, of_class, size, out);
}

void SoftmaxGradientBlock(const SoftmaxGradient& block) { Softmaxes().softmax_gradient(block); }

void ErodePlane(const PlaneShape& shape, const Planes<const float>& volume, float* eroded) {
  Morphology().erode(shape, volume, eroded);
}

void DilatePlane(const PlaneShape& shape, const Planes<const float>& volume, float* dilated) {
  Morphology().dilate(shape, volume, Rows(shape, 1).data(), dilated);
}

void AddErosionGradient(const PlaneShape& shape, const Planes<const float>& volume,
                        const float* gradient, const Planes<float>& sum) {
  Morphology().add_erosion_gradient(shape, volume, gradient, Rows(shape, 6).data(), sum);
}

void SubtractDilationGradient(const PlaneShape& shape, const Planes<const float>& volume,
                              const float* dilated, const float* gradient,
                              const Planes<float>& sum) {
  Morphology().subtract_dilation_gradient(shape, volume, dilated, gradient, Rows(shape, 1).data(),
                                          sum);
}

void ThickenBlock(const float* level, const float* opened, const float* skeleton, int64_t size,
                  float* next) {
  Skeletons().thicken(level, opened, skeleton, size, next);
}

void ThickenGradientBlock(const float* level, const float* opened, const float* skeleton,
                          int64_t size, float* gradient, float* of_d) {
  Skeletons().thicken_gradient(level, opened, skeleton, size, gradient, of_d);
}

SkeletonSums SumSkeletonBlock(const float* skeleton, const float* other, const float* weight,
                              int64_t size, float* of_other) {
  return Skeletons().sum(skeleton, other, weight, size, of_other);
}

void SkeletonGradientBlock(const float* other, const float* weight, double of_within,
                           double of_total, int64_t size, float* gradient) {
  Skeletons().gradient(other, weight, of_within, of_total, size, gradient);
}

}  // namespace lossd
