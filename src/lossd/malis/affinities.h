#ifndef LOSSD_MALIS_AFFINITIES_H_
#define LOSSD_MALIS_AFFINITIES_H_

#include <cstdint>

#include "absl/types/span.h"
#include "lossd/base/context.h"
#include "lossd/malis/grid.h"

namespace lossd {

// Ground-truth affinities of a segmentation: 1 where an edge joins two voxels of the same object, 0
// where it does not, touches background (0), or leaves the volume. A zero offset joins a voxel with
// itself: 1 in every object.
//
// Int: any standard integer type of 8 to 64 bits. labels: [Z, Y, X]. affinity: [C, Z, Y, X].
template <typename Int>
void AffinitiesFromLabels(const GridShape& shape, absl::Span<const Offset> neighborhood,
                          absl::Span<const Int> labels, const Context& context,
                          absl::Span<uint8_t> affinity);

#define LOSSD_AFFINITIES_FROM_LABELS(INT)                                                      \
  void AffinitiesFromLabels(const GridShape&, absl::Span<const Offset>, absl::Span<const INT>, \
                            const Context&, absl::Span<uint8_t>)
extern template LOSSD_AFFINITIES_FROM_LABELS(int8_t);
extern template LOSSD_AFFINITIES_FROM_LABELS(uint8_t);
extern template LOSSD_AFFINITIES_FROM_LABELS(int16_t);
extern template LOSSD_AFFINITIES_FROM_LABELS(uint16_t);
extern template LOSSD_AFFINITIES_FROM_LABELS(int32_t);
extern template LOSSD_AFFINITIES_FROM_LABELS(uint32_t);
extern template LOSSD_AFFINITIES_FROM_LABELS(int64_t);
extern template LOSSD_AFFINITIES_FROM_LABELS(uint64_t);

}  // namespace lossd

#endif  // LOSSD_MALIS_AFFINITIES_H_
