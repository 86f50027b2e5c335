#ifndef LOSSD_MALIS_CPU_EDGE_KEY_H_
#define LOSSD_MALIS_CPU_EDGE_KEY_H_

#include <cstdint>
#include <limits>

namespace lossd {

// Integers that order edges as Kruskal's algorithm takes them: larger first, equal ones by
// ascending edge index.
using EdgeKey = int32_t;

// The key of an edge that does not exist. Less than every other, and the keys of edges lie far
// enough from the ends of the type that ±1 does not overflow.
inline constexpr EdgeKey kNoEdge = std::numeric_limits<EdgeKey>::min();

// An integer that orders the other way round, for sorts that ascend, and back.
inline uint32_t Descending(EdgeKey key) { return ~(static_cast<uint32_t>(key) ^ (1U << 31)); }
inline EdgeKey KeyOf(uint32_t descending) { return static_cast<EdgeKey>(~descending ^ (1U << 31)); }

// How many keys are looked at together: one AVX2 register. (GCC takes wider vectors apart into
// single numbers where the processor has no such registers.)
inline constexpr int64_t kVectorKeys = 8;

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_EDGE_KEY_H_
