#ifndef LOSSD_MALIS_COMPONENTS_H_
#define LOSSD_MALIS_COMPONENTS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "lossd/base/context.h"
#include "lossd/malis/grid.h"

namespace lossd {

// Connected components of the positive edges: what a segmentation is when only affinities are
// given.
//
// positive: [C, Z, Y, X], 0 or 1; entries whose edge leaves the volume are ignored. labels: [Z, Y,
// X]: components are numbered 1, 2, … in the order of their first voxels; a component of one voxel
// is background, 0. Returns the number of components. Needs fewer than 2³² voxels; the result does
// not depend on the threads. When the context is cancelled, number and labels are unspecified.
uint32_t ConnectedComponents(const GridShape& shape, absl::Span<const Offset> neighborhood,
                             absl::Span<const uint8_t> positive, const Context& context,
                             absl::Span<uint32_t> labels);

}  // namespace lossd

#endif  // LOSSD_MALIS_COMPONENTS_H_
