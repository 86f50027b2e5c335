#include "lossd/malis/affinities.h"

#include <algorithm>
#include <cstddef>

namespace lossd {

template <typename Int>
void AffinitiesFromLabels(const GridShape& shape, absl::Span<const Offset> neighborhood,
                          absl::Span<const Int> labels, const Context& context,
                          absl::Span<uint8_t> affinity) {
  const int64_t n = shape.voxels();
  const int64_t slice = shape.y * shape.x;
  const auto channels = static_cast<int64_t>(neighborhood.size());
  context.ParallelFor(channels * shape.z, 4, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t c = i / shape.z;
      const int64_t z = i % shape.z;
      const Offset& offset = neighborhood[c];
      uint8_t* const out = affinity.data() + c * n;
      if (offset == Offset{}) {
        for (int64_t v = z * slice; v < (z + 1) * slice; ++v) out[v] = labels[v] != 0 ? 1 : 0;
        continue;
      }
      std::fill_n(out + z * slice, slice, uint8_t{0});
      const EdgeBox box = EdgesOf(shape, offset);
      ForEachRow(shape, box, z, z + 1, [&](int64_t first, int64_t count) {
        const Int* const here = labels.data() + first;
        const Int* const there = here + box.stride;
        for (int64_t x = 0; x < count; ++x) {
          out[first + x] = static_cast<uint8_t>((here[x] == there[x]) & (here[x] != 0));
        }
      });
    }
  });
}

template LOSSD_AFFINITIES_FROM_LABELS(int8_t);
template LOSSD_AFFINITIES_FROM_LABELS(uint8_t);
template LOSSD_AFFINITIES_FROM_LABELS(int16_t);
template LOSSD_AFFINITIES_FROM_LABELS(uint16_t);
template LOSSD_AFFINITIES_FROM_LABELS(int32_t);
template LOSSD_AFFINITIES_FROM_LABELS(uint32_t);
template LOSSD_AFFINITIES_FROM_LABELS(int64_t);
template LOSSD_AFFINITIES_FROM_LABELS(uint64_t);

}  // namespace lossd
