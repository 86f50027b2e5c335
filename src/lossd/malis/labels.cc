#include "lossd/malis/labels.h"

#include <cstddef>

#include "absl/container/flat_hash_map.h"
#include "lossd/base/checkpoints.h"

namespace lossd {

template <typename Int>
uint32_t CompactLabels(absl::Span<const Int> ids, const Context& context,
                       absl::Span<uint32_t> labels) {
  absl::flat_hash_map<Int, uint32_t> numbers = {{Int{0}, 0}};
  // Ids come in runs: most voxels need no look-up.
  Int last_id = 0;
  uint32_t last_label = 0;
  Checkpoints checkpoints(context);
  for (size_t i = 0; i < ids.size() && checkpoints.Pass(1); ++i) {
    if (ids[i] != last_id) {
      last_id = ids[i];
      last_label =
          numbers.try_emplace(last_id, static_cast<uint32_t>(numbers.size())).first->second;
    }
    labels[i] = last_label;
  }
  return static_cast<uint32_t>(numbers.size() - 1);
}

template uint32_t CompactLabels(absl::Span<const int8_t>, const Context&, absl::Span<uint32_t>);
template uint32_t CompactLabels(absl::Span<const uint8_t>, const Context&, absl::Span<uint32_t>);
template uint32_t CompactLabels(absl::Span<const int16_t>, const Context&, absl::Span<uint32_t>);
template uint32_t CompactLabels(absl::Span<const uint16_t>, const Context&, absl::Span<uint32_t>);
template uint32_t CompactLabels(absl::Span<const int32_t>, const Context&, absl::Span<uint32_t>);
template uint32_t CompactLabels(absl::Span<const uint32_t>, const Context&, absl::Span<uint32_t>);
template uint32_t CompactLabels(absl::Span<const int64_t>, const Context&, absl::Span<uint32_t>);
template uint32_t CompactLabels(absl::Span<const uint64_t>, const Context&, absl::Span<uint32_t>);

}  // namespace lossd
