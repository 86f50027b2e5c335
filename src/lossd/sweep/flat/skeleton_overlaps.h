#ifndef LOSSD_SWEEP_FLAT_SKELETON_OVERLAPS_H_
#define LOSSD_SWEEP_FLAT_SKELETON_OVERLAPS_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "lossd/base/vectorized.h"
#include "lossd/malis/flat/loops.h"
#include "lossd/sweep/cuda/groups.h"
#include "lossd/sweep/flat/skeleton_volumes.h"
#include "lossd/sweep/flat/sums.h"
#include "lossd/sweep/skeleton_element.h"

// SoftClDiceLoss by loops over flat arrays.
namespace lossd::flat {

// Of each volume, and of its prediction's skeleton and its target's.
template <typename T>
struct OfSkeletons {
  // [volumes, 2]: how much of the skeleton lies in the other volume, and how much there is of it.
  T* pred;
  T* target;
};

struct SkeletonTensors {
  Volumes volumes;    // Channels of samples.
  uint32_t channels;  // Of a sample.
  // Probabilities, one volume behind the other.
  const float* pred;
  const float* target;
  Grouped<const float> weight;  // None: 1.
  // With respect to `pred`, overwritten; null: not wanted.
  float* gradient;
  OfSkeletons<double> sums;           // Overwritten.
  OfSkeletons<const double> of_sums;  // The derivative with respect to them.

  LOSSD_VECTORIZED float Weight(uint32_t volume, uint32_t voxel) const {
    if (weight.data == nullptr) return 1;
    return At(weight, {.sample = volume / channels, .channel = volume % channels, .voxel = voxel});
  }
};

// The sums of the volumes from `first` on, [part.count, 2]. `of_other`: the derivative of the
// first with respect to `other`; null: not wanted.
template <typename Loops>
void SumSkeletons(Loops& loops, const SkeletonTensors& tensors, uint32_t first, const Volumes& part,
                  const float* skeleton, const float* other, float* of_other, double* sums) {
  const uint32_t voxels = part.voxels();
  SumGroups<2>(
      loops, part.count, voxels,
      [=] LOSSD_LAMBDA(uint32_t volume, uint32_t voxel, double* sum) {
        const uint32_t i = volume * voxels + voxel;
        const float w = tensors.Weight(first + volume, voxel);
        const float s = w * skeleton[i];
        sum[0] += WithinTerm(s, w, other[i]);
        sum[1] += static_cast<double>(s);
        if (of_other != nullptr) of_other[i] = w * s;
      },
      sums);
}

// Scales the gradient by way of the target's skeleton, and writes that with respect to the
// prediction's.
template <typename Loops>
void StartGradient(Loops& loops, const SkeletonTensors& tensors, uint32_t first,
                   const Volumes& part, const float* target, float* gradient, float* of_skeleton) {
  const uint32_t voxels = part.voxels();
  loops.For(part.elements(), [=] LOSSD_LAMBDA(uint32_t i) {
    const uint32_t volume = first + i / voxels;
    const double* const of_pred = tensors.of_sums.pred + 2 * volume;
    const double* const of_target = tensors.of_sums.target + 2 * volume;
    gradient[i] *= static_cast<float>(of_target[0]);
    of_skeleton[i] = SkeletonGradient(static_cast<double>(tensors.Weight(volume, i % voxels)),
                                      target[i], of_pred[0], of_pred[1]);
  });
}

// The sums of all volumes, and the gradient. When those of the volumes [first, first + count) are
// there, derivative_of(first, count) is called, to write that with respect to them.
template <typename Loops, typename DerivativeOf>
void OverlapSkeletons(Loops& loops, const SkeletonTensors& tensors, int64_t num_iters,
                      const DerivativeOf& derivative_of) {
  ForParts(tensors.volumes, [&](uint32_t first, const Volumes& part) {
    const size_t begin = size_t{first} * part.voxels();
    const float* const pred = tensors.pred + begin;
    const float* const target = tensors.target + begin;
    const bool with_gradient = tensors.gradient != nullptr;
    float* const gradient = with_gradient ? tensors.gradient + begin : nullptr;
    {
      const Skeletons of_target = MakeSkeletons(loops, part, target, num_iters, /*keep=*/false);
      SumSkeletons(loops, tensors, first, part, of_target.last(), pred, gradient,
                   tensors.sums.target + size_t{2} * first);
    }
    Skeletons of_pred = MakeSkeletons(loops, part, pred, num_iters, with_gradient);
    SumSkeletons(loops, tensors, first, part, of_pred.last(), target, /*of_other=*/nullptr,
                 tensors.sums.pred + size_t{2} * first);
    if (!with_gradient) return;
    derivative_of(first, part.count);
    StartGradient(loops, tensors, first, part, target, gradient, of_pred.last());
    AddSkeletonGradient(loops, part, pred, std::move(of_pred), gradient);
  });
}

}  // namespace lossd::flat

#endif  // LOSSD_SWEEP_FLAT_SKELETON_OVERLAPS_H_
