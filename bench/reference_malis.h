#ifndef BENCH_REFERENCE_MALIS_H_
#define BENCH_REFERENCE_MALIS_H_

#include <cstdint>
#include <vector>

#include "lossd/malis/malis.h"

namespace lossd {

// MALIS as it is published and used, written from its description: what the engine is measured
// against. Per pass: the effective affinities; a comparison sort of all existing edges through
// their 64-bit indices; union-find by rank with path compression; an ordered map label → count for
// every set, of which all pairs of entries are looked at when two sets join.
//
// Two things are ours, so that counts can be compared: equal affinities are ordered by index, and
// the counts are integers. Samples need labels.
std::vector<uint64_t> ReferenceMalisCounts(const MalisSample& sample, MalisPass pass);

// Both passes, normalised and added.
std::vector<float> ReferenceMalisWeights(const MalisSample& sample);

}  // namespace lossd

#endif  // BENCH_REFERENCE_MALIS_H_
