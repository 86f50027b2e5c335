#ifndef LOSSD_SWEEP_FLAT_WORST_NEIGHBOURS_H_
#define LOSSD_SWEEP_FLAT_WORST_NEIGHBOURS_H_

#include <cstddef>
#include <cstdint>

#include "lossd/losses/pointwise/bce_with_logits.h"
#include "lossd/malis/flat/loops.h"
#include "lossd/sweep/cuda/groups.h"
#include "lossd/sweep/flat/sums.h"
#include "lossd/sweep/flat/volumes.h"

// ScnpLoss by loops over flat arrays.
namespace lossd::flat {

struct WorstNeighbourTensors {
  Volumes volumes;  // Channels of samples.
  int32_t radius;
  uint32_t channels;  // Of a sample.
  Grouped<const float> pred;
  Grouped<const float> target;
  Grouped<const float> weight;  // None: 1.
  GradientPlace gradient;
  // [channels], whose element is a BinaryCrossEntropy.
  const PointwiseChannel* of_channel;

  LOSSD_VECTORIZED Place PlaceOf(uint32_t volume, uint32_t voxel) const {
    return {.sample = volume / channels, .channel = volume % channels, .voxel = voxel};
  }
};

struct WorstNeighbour {
  float logit;
  uint32_t number;  // In the window.
};

// Of the voxels of the same class in its window: the first of those that are worst, and NaN is
// worse than all.
LOSSD_VECTORIZED WorstNeighbour FindWorst(const WorstNeighbourTensors& tensors, const Reach& reach,
                                          uint32_t volume, uint32_t voxel) {
  const Window window(tensors.volumes, reach, voxel);
  const bool foreground = At(tensors.target, tensors.PlaceOf(volume, voxel)) > 0.5F;
  WorstNeighbour worst = {.logit = At(tensors.pred, tensors.PlaceOf(volume, voxel)), .number = 0};
  bool found = false;
  for (int32_t z = window.begin[0]; z < window.end[0]; ++z) {
    for (int32_t y = window.begin[1]; y < window.end[1]; ++y) {
      for (int32_t x = window.begin[2]; x < window.end[2]; ++x) {
        const Place there = tensors.PlaceOf(volume, voxel + window.Step(z, y, x));
        if ((At(tensors.target, there) > 0.5F) != foreground) continue;
        const float candidate = At(tensors.pred, there);
        const bool worse = foreground ? candidate < worst.logit : candidate > worst.logit;
        if (found && !worse && candidate == candidate) continue;
        worst = {.logit = candidate, .number = window.Number(z, y, x)};
        found = true;
      }
    }
  }
  return worst;
}

// SumWorstNeighbours of the volumes [first, first + part.count).
template <typename Loops>
void SumWorstNeighboursOfPart(Loops& loops, const WorstNeighbourTensors& tensors, uint32_t first,
                              const Volumes& part, double* sums) {
  const Reach reach = {
      .z = part.has_z ? tensors.radius : 0, .y = tensors.radius, .x = tensors.radius};
  const uint32_t voxels = part.voxels();
  const bool with_gradient = tensors.gradient.into.data != nullptr;
  const size_t kept = with_gradient ? part.elements() : 0;
  const Array<float> derivatives(loops.memory(), kept);
  const Array<uint16_t> numbers(loops.memory(), kept);
  float* const derivative = derivatives.data();
  uint16_t* const number = numbers.data();
  SumGroups<1>(
      loops, part.count, voxels,
      [=] LOSSD_LAMBDA(uint32_t volume, uint32_t voxel, double* sum) {
        const Place at = tensors.PlaceOf(first + volume, voxel);
        const PointwiseChannel& channel = tensors.of_channel[at.channel];
        const auto& element = *reinterpret_cast<const BinaryCrossEntropy*>(channel.element);
        const WorstNeighbour worst = FindWorst(tensors, reach, first + volume, voxel);
        const Weighed x = Weigh(element(worst.logit, At(tensors.target, at)), tensors.weight, at,
                                channel.options);
        sum[0] += x.loss;
        if (!with_gradient) return;
        derivative[volume * voxels + voxel] = x.slope;
        number[volume * voxels + voxel] = static_cast<uint16_t>(worst.number);
      },
      sums);
  if (!with_gradient) return;
  loops.For(part.elements(), [=] LOSSD_LAMBDA(uint32_t i) {
    Put(tensors.gradient, tensors.PlaceOf(first + i / voxels, i % voxels),
        SumOfChoosers(part, reach, i, derivative, number));
  });
}

// Σ weight × loss of each volume into `sums`, and the gradient where it goes.
template <typename Loops>
void SumWorstNeighbours(Loops& loops, const WorstNeighbourTensors& tensors, double* sums) {
  ForParts(tensors.volumes, [&](uint32_t first, const Volumes& part) {
    SumWorstNeighboursOfPart(loops, tensors, first, part, sums + first);
  });
}

}  // namespace lossd::flat

#endif  // LOSSD_SWEEP_FLAT_WORST_NEIGHBOURS_H_
