#ifndef LOSSD_MALIS_CPU_EDGE_KEYS_H_
#define LOSSD_MALIS_CPU_EDGE_KEYS_H_

#include <cstdint>
#include <limits>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lossd/base/context.h"
#include "lossd/base/workspace.h"
#include "lossd/malis/cpu/edge_key.h"
#include "lossd/malis/grid.h"
#include "lossd/malis/malis.h"

namespace lossd {

// The keys of a volume. Around each channel's lie as many kNoEdge as a look at the neighbours of
// its first and last voxels may reach.
struct KeyArray {
  const EdgeKey* first = nullptr;  // Of channel 0 and voxel 0.
  int64_t channel_stride = 0;

  const EdgeKey* At(int64_t channel, int64_t voxel) const {
    return first + channel * channel_stride + voxel;
  }
};

// How one pass reads keys: edges in [lowest, contracted) are ordered by them, edges at
// or above `contracted` join before all others, and the rest is not there. The counts of contracted
// edges, and what happens after the last edge, are of no interest to the pass.
struct PassKeys {
  KeyArray keys;
  EdgeKey lowest = kNoEdge + 1;
  EdgeKey contracted = std::numeric_limits<EdgeKey>::max();
};

// The keys of a sample, in one array at any time.
struct EdgeKeys {
  Workspace::Buffer<EdgeKey> storage;
  PassKeys pass[2];  // By MalisPass.
  // Whether both passes have one order. Then every edge that a pass orders is also one whose count
  // it keeps: known and of its class. Else each pass has its keys built when its turn comes.
  bool shared = false;
  bool in_range = false;  // No affinity is outside [0, 1].
};

// How far from a voxel the cycles through its edges reach (cycle_filter.h): the margin of a
// KeyArray.
int64_t KeyMargin(const GridShape& shape, absl::Span<const Offset> neighborhood);

// Builds the keys that both passes share, without a mask and with affinities in [0, 1]: known
// positive edges lie above all others, contracted for the negative pass, all there is for the
// positive one. Other samples get none yet. INVALID_ARGUMENT about "affinity" when one is NaN; the
// context's status when it is cancelled.
absl::StatusOr<EdgeKeys> BuildEdgeKeys(const MalisSample& sample, const Context& context,
                                       Workspace& workspace);

// For a sample whose passes do not share keys: puts those of one pass in the place of what was
// there.
void BuildPassKeys(const MalisSample& sample, MalisPass pass, const Context& context,
                   EdgeKeys& keys);

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_EDGE_KEYS_H_
