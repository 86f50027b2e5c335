#ifndef LOSSD_SWEEP_SOFT_SKELETON_H_
#define LOSSD_SWEEP_SOFT_SKELETON_H_

#include <cstdint>
#include <functional>

#include "lossd/base/context.h"
#include "lossd/sweep/morphology.h"

// The soft skeleton of a volume (Shit et al., clDice, CVPR 2021) and its derivative. With E(0) the
// volume, E(i + 1) the erosion of E(i) and D(i) = relu(E(i) − dilation of E(i + 1)), the skeleton
// is S(n) of S(0) = D(0), S(i) = S(i − 1) + relu(D(i) − S(i − 1)·D(i)).
//
// Both go through the volume once. A front moves from its first plane to its last; each erosion is
// made some planes ahead of the front, in time for the next, and its gradient is passed on some
// planes behind. What the front has left behind is forgotten: with L = n + 1 erosions, L·(L + 3)
// planes are kept at a time for a skeleton and less than 3·L·(L + 2) for its derivative, but of
// each erosion at most the whole volume. Erosions are made in parallel, two planes apart, hence at
// most L and Z / 2 threads share the work of a volume.
namespace lossd {

struct VolumeShape {
  PlaneShape plane;
  int64_t z;  // 1 for an image.

  bool Has(int64_t plane_index) const { return plane_index >= 0 && plane_index < z; }
};

// Calls body(z, plane) for every plane of the skeleton of `volume` [Z, Y, X], in order, until the
// context is cancelled.
void ForEachSkeletonPlane(const VolumeShape& shape, const float* volume, int64_t num_iters,
                          const Context& context,
                          const std::function<void(int64_t z, const float* plane)>& body);

// Adds d Σ gradient × skeleton / d volume to `sum` [Z, Y, X]. gradient(z, plane) writes a plane of
// the gradient; it is called for every plane, in order, until the context is cancelled.
void AddSkeletonGradient(const VolumeShape& shape, const float* volume, int64_t num_iters,
                         const Context& context,
                         const std::function<void(int64_t z, float* plane)>& gradient, float* sum);

}  // namespace lossd

#endif  // LOSSD_SWEEP_SOFT_SKELETON_H_
