#include "lossd/malis/labels.h"

#include <cstddef>

#include "absl/container/flat_hash_map.h"
#include "lossd/base/checkpoints.h"

namespace lossd {

namespace {

// What a look-up in a large table counts for, whose memory may be new.
constexpr int64_t kLookUpSteps = 4;

// How often an id follows another one, 0 coming first: at least as often as there are ids.
template <typename Int>
size_t CountRuns(absl::Span<const Int> ids, Checkpoints& checkpoints) {
  constexpr size_t kPart = 1 << 16;
  size_t runs = 0;
  Int last = 0;
  for (size_t begin = 0; begin < ids.size() && checkpoints.Pass(kPart); begin += kPart) {
    for (const Int id : ids.subspan(begin, kPart)) {
      runs += id != last ? 1 : 0;
      last = id;
    }
  }
  return runs;
}

}  // namespace

template <typename Int>
uint32_t CompactLabels(absl::Span<const Int> ids, const Context& context,
                       absl::Span<uint32_t> labels) {
  Checkpoints checkpoints(context);
  absl::flat_hash_map<Int, uint32_t> numbers = {{Int{0}, 0}};
  // Growing, a table of millions stands still for long.
  numbers.reserve(CountRuns(ids, checkpoints) + 1);
  // Ids come in runs: most voxels need no look-up.
  Int last_id = 0;
  uint32_t last_label = 0;
  for (size_t i = 0; i < ids.size(); ++i) {
    if (!checkpoints.Pass(ids[i] == last_id ? 1 : kLookUpSteps)) break;
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
