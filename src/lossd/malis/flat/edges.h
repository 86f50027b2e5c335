#ifndef LOSSD_MALIS_FLAT_EDGES_H_
#define LOSSD_MALIS_FLAT_EDGES_H_

#include <cstdint>

#include "lossd/base/vectorized.h"

namespace lossd::flat {

// After all edges in Kruskal's order.
inline constexpr uint64_t kNever = ~uint64_t{0};
inline constexpr uint32_t kAbsent = ~uint32_t{0};

// An offset that leads from some voxel of the volume to another, modulo 2³². Else the stride is 0,
// and the channel has no edge.
struct Channel {
  uint32_t z, y, x;
  uint32_t stride;
};

// A voxel of a batch, or a place outside its sample's volume: coordinates modulo 2³².
struct Position {
  uint32_t voxel;
  uint32_t sample;
  uint32_t z, y, x;
};

// The edges of a batch in one pass. Edge c·N + v is that of channel c at voxel v, N being the
// voxels of all samples, v among them: within a sample that orders edges like c·Z·Y·X + voxel does.
struct Edges {
  uint32_t voxels;  // Of all samples.
  uint32_t volume;  // Voxels of one.
  uint32_t z, y, x;
  uint32_t channels;
  const Channel* channel;
  const float* affinity;
  const uint8_t* positive;
  const uint8_t* known;  // May be null.
  bool negative;         // The negative pass.
  // How far a voxel is at least from all sides of the volume where two steps lead nowhere outside.
  uint32_t far_z, far_y, far_x;
  // Whether no affinity is above 1, so that raised edges come first: then their ends are joined
  // before, and they need no order.
  bool contract;
  // Whether no affinity is below 0, so that lowered edges come last: then they are not there.
  bool drop;

  LOSSD_VECTORIZED Position At(uint32_t voxel) const {
    const uint32_t sample = voxel / volume;
    const uint32_t place = voxel - sample * volume;
    const uint32_t row = place / x;
    return {.voxel = voxel, .sample = sample, .z = row / y, .y = row % y, .x = place - row * x};
  }

  // Where channel c leads from there.
  LOSSD_VECTORIZED Position Step(Position from, uint32_t c) const {
    from.voxel += channel[c].stride;
    from.z += channel[c].z;
    from.y += channel[c].y;
    from.x += channel[c].x;
    return from;
  }

  // Whether it leads to earlier voxels.
  LOSSD_VECTORIZED bool LeadsBack(uint32_t c) const {
    return static_cast<int32_t>(channel[c].stride) < 0;
  }

  // From where it leads there.
  LOSSD_VECTORIZED Position StepBack(Position to, uint32_t c) const {
    to.voxel -= channel[c].stride;
    to.z -= channel[c].z;
    to.y -= channel[c].y;
    to.x -= channel[c].x;
    return to;
  }

  LOSSD_VECTORIZED bool Inside(const Position& at) const {
    return at.z < z && at.y < y && at.x < x;
  }

  // Whether all that two steps lead to is inside.
  LOSSD_VECTORIZED bool FarInside(const Position& at) const {
    return at.z >= far_z && at.z + far_z < z && at.y >= far_y && at.y + far_y < y &&
           at.x >= far_x && at.x + far_x < x;
  }

  // Whether the channel has an edge at a position, which may be outside.
  LOSSD_VECTORIZED bool Exists(uint32_t c, const Position& at) const {
    return channel[c].stride != 0 && Inside(at) && Inside(Step(at, c));
  }

  LOSSD_VECTORIZED uint32_t Number(uint32_t c, const Position& at) const {
    return c * voxels + at.voxel;
  }

  // Where the edge lies in [B, C, Z, Y, X].
  LOSSD_VECTORIZED uint64_t Place(uint32_t c, const Position& at) const {
    return uint64_t{at.sample * (channels - 1) + c} * volume + at.voxel;
  }

  LOSSD_VECTORIZED uint64_t Place(uint32_t number) const {
    return Place(number / voxels, At(number % voxels));
  }

  LOSSD_VECTORIZED bool Known(uint64_t place) const {
    return known == nullptr || known[place] != 0;
  }
  // Whether the pass raises or lowers the edge.
  LOSSD_VECTORIZED bool Constrained(uint64_t place) const {
    return Known(place) && (positive[place] != 0) == negative;
  }
  // Whether the pass keeps the edge's count.
  LOSSD_VECTORIZED bool Counts(uint64_t place) const {
    return Known(place) && (positive[place] != 0) != negative;
  }

  // The upper half of an edge's place in Kruskal's order: ~key, ascending. Keys order like
  // affinities, but that raised edges stand above all of affinity 1, and lowered ones below all of
  // affinity 0. kAbsent: the edge is not there.
  LOSSD_VECTORIZED uint32_t LateKey(uint32_t c, const Position& at) const {
    if (!Exists(c, at)) return kAbsent;
    constexpr uint32_t kSign = uint32_t{1} << 31;
    constexpr uint32_t kZero = kSign;
    constexpr uint32_t kOne = kSign | 0x3F800000U;
    const uint64_t place = Place(c, at);
    const uint32_t bits = __builtin_bit_cast(uint32_t, affinity[place] + 0.0F);  // −0 becomes 0.
    uint32_t key = (bits & kSign) != 0 ? ~bits : bits | kSign;
    if (Constrained(place)) {
      if (drop) return kAbsent;
      key = negative ? kOne + 1 : kZero - 1;
    } else if (negative && key > kOne) {
      ++key;
    } else if (!negative && key < kZero) {
      --key;
    }
    return ~key;
  }
};

// Edges with their places in Kruskal's order: (late key << 32) | number, ascending.
struct OrderedEdges {
  Edges edges;
  const uint32_t* late_keys;  // By number.

  LOSSD_VECTORIZED uint64_t Order(uint32_t c, const Position& at) const {
    const uint32_t number = edges.Number(c, at);
    return uint64_t{late_keys[number]} << 32 | number;
  }

  // kFarInside: `at` is known to be inside.
  template <bool kFarInside>
  LOSSD_VECTORIZED bool ComesBefore(uint64_t order, uint32_t c, const Position& at) const {
    return (kFarInside || edges.Inside(at)) && Order(c, at) < order;
  }

  // Whether an edge is the last of a parallelogram that its channel and another one span: then it
  // joins nothing. That the other three edges exist says that they meet.
  template <bool kFarInside>
  LOSSD_VECTORIZED bool ClosesCycle(uint32_t c, const Position& at, uint64_t order) const {
    const Position end = edges.Step(at, c);
    for (uint32_t d = 0; d < edges.channels; ++d) {
      if (d == c) continue;
      if (ComesBefore<kFarInside>(order, d, at) && ComesBefore<kFarInside>(order, d, end) &&
          ComesBefore<kFarInside>(order, c, edges.Step(at, d))) {
        return true;
      }
      const Position back = edges.StepBack(at, d);
      if (ComesBefore<kFarInside>(order, d, back) && ComesBefore<kFarInside>(order, c, back) &&
          ComesBefore<kFarInside>(order, d, edges.StepBack(end, d))) {
        return true;
      }
    }
    return false;
  }
};

}  // namespace lossd::flat

#endif  // LOSSD_MALIS_FLAT_EDGES_H_
