#ifndef LOSSD_MALIS_LABELS_H_
#define LOSSD_MALIS_LABELS_H_

#include <cstdint>

#include "absl/types/span.h"
#include "lossd/base/context.h"

namespace lossd {

// Renumbers instance ids as 1, 2, … in the order in which they first occur; 0, the background,
// stays 0. Ids may be sparse, huge or negative. Int: any standard integer type of 8 to 64 bits.
// `ids` and `labels` have the same size, below 2³². Returns how many different ids there are. When
// the context is cancelled, number and labels are unspecified.
template <typename Int>
uint32_t CompactLabels(absl::Span<const Int> ids, const Context& context,
                       absl::Span<uint32_t> labels);

extern template uint32_t CompactLabels(absl::Span<const int8_t>, const Context&,
                                       absl::Span<uint32_t>);
extern template uint32_t CompactLabels(absl::Span<const uint8_t>, const Context&,
                                       absl::Span<uint32_t>);
extern template uint32_t CompactLabels(absl::Span<const int16_t>, const Context&,
                                       absl::Span<uint32_t>);
extern template uint32_t CompactLabels(absl::Span<const uint16_t>, const Context&,
                                       absl::Span<uint32_t>);
extern template uint32_t CompactLabels(absl::Span<const int32_t>, const Context&,
                                       absl::Span<uint32_t>);
extern template uint32_t CompactLabels(absl::Span<const uint32_t>, const Context&,
                                       absl::Span<uint32_t>);
extern template uint32_t CompactLabels(absl::Span<const int64_t>, const Context&,
                                       absl::Span<uint32_t>);
extern template uint32_t CompactLabels(absl::Span<const uint64_t>, const Context&,
                                       absl::Span<uint32_t>);

}  // namespace lossd

#endif  // LOSSD_MALIS_LABELS_H_
