#include "lossd/malis/cpu/cycle_filter.h"

#include <algorithm>
#include <cstddef>
#include <cstdlib>

#include "lossd/base/instruction_sets.h"

namespace lossd {
namespace {

// How many other channels to span parallelograms with: beyond these, an edge that survives is
// nearly always in the forest.
constexpr size_t kPartners = 4;

}  // namespace

CycleFilter::CycleFilter(const GridShape& shape, absl::Span<const Offset> neighborhood,
                         const KeyArray& keys)
    : keys_(keys), cycles_(neighborhood.size()) {
  std::vector<size_t> channels;
  std::vector<int64_t> strides(neighborhood.size(), 0);
  for (size_t c = 0; c < neighborhood.size(); ++c) {
    const EdgeBox box = EdgesOf(shape, neighborhood[c]);
    if (box.empty()) continue;
    channels.push_back(c);
    strides[c] = box.stride;
  }
  // Short offsets make cycles of edges that are near in memory too.
  std::vector<size_t> partners = channels;
  std::stable_sort(partners.begin(), partners.end(),
                   [&](size_t a, size_t b) { return std::abs(strides[a]) < std::abs(strides[b]); });
  for (const size_t c : channels) {
    size_t taken = 0;
    for (const size_t other : partners) {
      if (other == c) continue;
      if (++taken > kPartners) break;
      const int64_t p = strides[c];
      const int64_t q = strides[other];
      const int64_t to_other =
          (static_cast<int64_t>(other) - static_cast<int64_t>(c)) * keys.channel_stride;
      // The edge on the side of v, and on the opposite side. Past the end of a row or of the volume
      // the first of the three is kNoEdge, which makes no cycle.
      for (const int64_t corner : {int64_t{0}, -q}) {
        EdgeCycle cycle = {.at = {corner + to_other, corner + p + to_other, corner == 0 ? q : -q},
                           .before = {}};
        for (int k = 0; k < 3; ++k) cycle.before[k] = cycle.at[k] < 0 ? 1 : 0;
        cycles_[c].push_back(cycle);
      }
    }
  }
}

void CycleFilter::Find(int64_t channel, int64_t first, int64_t count, EdgeKey* bounds) const {
  const std::vector<EdgeCycle>& cycles = cycles_[channel];
  CurrentKernels<MalisKernels>().find_bounds(keys_.At(channel, first), cycles.data(), cycles.size(),
                                             count, bounds);
}

}  // namespace lossd
