#ifndef LOSSD_MALIS_MALIS_H_
#define LOSSD_MALIS_MALIS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "lossd/base/context.h"
#include "lossd/base/workspace.h"
#include "lossd/malis/grid.h"
#include "lossd/malis/malis_pass.h"

namespace lossd {

// MALIS: how many pairs of voxels depend on each affinity edge for their connectivity (Turaga et
// al., NIPS 2009), in the constrained two-pass form of Funke et al., TPAMI 2018.
//
// A pass runs Kruskal's algorithm over all edges of the grid, strongest first. The edge that joins
// two sets of voxels counts the pairs, one voxel of each set, that it connects:
// - negative pass: pairs with different labels, after the known positive edges were raised to 1;
// - positive pass: pairs with equal labels, after the known negative edges were lowered to 0.
// Background voxels are in no pair. Only known edges of the pass's own class keep their counts.
// Equal affinities go by edge index, c·Z·Y·X + voxel, but raised edges come first and lowered ones
// last. So counts are exact integers that do not depend on threads or runs.

// One volume. Spans are [C, Z, Y, X] but for `labels`, contiguous, and only borrowed. Entries whose
// edge leaves the volume are ignored, but no affinity may be NaN.
struct MalisSample {
  GridShape shape;
  absl::Span<const Offset> neighborhood;  // [C]
  absl::Span<const float> affinity;       // Predicted, any values but NaN.
  absl::Span<const uint8_t> positive;     // Ground truth, 0 or 1.
  absl::Span<const uint8_t> known;        // 0 or 1; empty: every edge is known.
  // [Z, Y, X] instance labels, any numbers, 0 is background; empty: the connected components of the
  // positive edges (lossd/malis/components.h).
  absl::Span<const uint32_t> labels;
};

// The weights of every sample: each pass's counts divided by their sum (left 0 where that is 0),
// negative plus positive. weights[s]: [C, Z, Y, X], overwritten. `pairs`, where given, is set to
// the sums, over all samples.
//
// INVALID_ARGUMENT, as a FieldError about "shape", "affinity", "positive", "known", "labels" or
// "weights", when a size does not fit the shape, an affinity is NaN, or a volume has 2³¹ or more
// edges (C·Z·Y·X); the context's status when it is cancelled. The weights are unspecified then.
absl::Status MalisWeights(absl::Span<const MalisSample> samples, const Context& context,
                          Workspace& workspace, absl::Span<const absl::Span<float>> weights,
                          MalisPairs* pairs = nullptr);

// Bytes that MalisWeights takes at most for one sample: measured on the inputs that take most
// (docs/malis.md), with a margin. Ordinary volumes take a fifth of that.
int64_t MalisScratchBytes(const GridShape& shape, int64_t channels);

// The counts themselves, of one pass. counts: [C, Z, Y, X], overwritten. Errors as above
// ("counts").
absl::Status MalisCounts(const MalisSample& sample, MalisPass pass, const Context& context,
                         Workspace& workspace, absl::Span<uint64_t> counts);

}  // namespace lossd

#endif  // LOSSD_MALIS_MALIS_H_
