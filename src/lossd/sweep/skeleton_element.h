#ifndef LOSSD_SWEEP_SKELETON_ELEMENT_H_
#define LOSSD_SWEEP_SKELETON_ELEMENT_H_

#include "lossd/base/vectorized.h"

// What soft skeletons and their overlaps are made of, one voxel at a time: compiled for every
// instruction set and for GPUs.
namespace lossd {

LOSSD_VECTORIZED float Lesser(float a, float b) { return b < a ? b : a; }
LOSSD_VECTORIZED float Greater(float a, float b) { return a < b ? b : a; }
LOSSD_VECTORIZED float Relu(float x) { return x > 0 ? x : 0.0F; }

// Share of a gradient that the minimum of a and b passes on to a.
LOSSD_VECTORIZED float ShareOfFirst(float a, float b) {
  const float of_different = a < b ? 1.0F : 0.0F;
  return a == b ? 0.5F : of_different;
}

// One step of a skeleton: with d = relu(level − opened), skeleton + relu(d − skeleton·d).
LOSSD_VECTORIZED float Thicken(float level, float opened, float skeleton) {
  const float d = Relu(level - opened);
  return skeleton + Relu(d - skeleton * d);
}

// Its derivative: from the gradient with respect to what it gives, that with respect to d, 0 where
// d is. Turns `gradient` into that with respect to `skeleton`.
LOSSD_VECTORIZED float ThickenGradient(float level, float opened, float skeleton, float& gradient) {
  const float d = Relu(level - opened);
  // Where d − skeleton·d is above 0, so is d: one test serves both relus.
  const float passed = d - skeleton * d > 0 ? gradient : 0.0F;
  gradient -= passed * d;
  return passed * (1.0F - skeleton);
}

// What a voxel adds to SkeletonSums (skeleton_kernels.h), with s = w·skeleton.
LOSSD_VECTORIZED double WithinTerm(float s, float w, float other) {
  return static_cast<double>(s * (w * other));
}

// w·(of_within·w·other + of_total): the gradient with respect to the skeleton. In float64, as the
// two may all but cancel.
LOSSD_VECTORIZED float SkeletonGradient(double w, float other, double of_within, double of_total) {
  return static_cast<float>(w * (of_within * w * static_cast<double>(other) + of_total));
}

}  // namespace lossd

#endif  // LOSSD_SWEEP_SKELETON_ELEMENT_H_
