#ifndef LOSSD_MALIS_GRID_H_
#define LOSSD_MALIS_GRID_H_

#include <cstdint>

namespace lossd {

// Extent of a volume in voxels. Voxel (z, y, x) has the index (z·Y + y)·X + x.
struct GridShape {
  int64_t z = 0;
  int64_t y = 0;
  int64_t x = 0;

  int64_t voxels() const { return z * y * x; }
  bool operator==(const GridShape&) const = default;
};

// Where an edge of a neighbourhood leads: channel c at voxel v is the edge (v, v +
// neighborhood[c]).
struct Offset {
  int64_t z = 0;
  int64_t y = 0;
  int64_t x = 0;

  bool operator==(const Offset&) const = default;
};

// The edges of one channel: exactly the voxels v of [begin, end) have the edge (v, v + stride), as
// voxel indices. Empty where the offset is zero (such an edge joins nothing) or leads outside from
// everywhere.
struct EdgeBox {
  GridShape begin;
  GridShape end;
  int64_t stride = 0;

  bool empty() const { return begin.z >= end.z || begin.y >= end.y || begin.x >= end.x; }
};

// The edges that `offset`, of any length and sign, has in a volume.
EdgeBox EdgesOf(const GridShape& shape, const Offset& offset);

// Calls row(first voxel, count) for every run of voxels along x of `box`, for z in [z_begin,
// z_end).
template <typename Row>
void ForEachRow(const GridShape& shape, const EdgeBox& box, int64_t z_begin, int64_t z_end,
                const Row& row) {
  if (box.empty()) return;
  if (z_begin < box.begin.z) z_begin = box.begin.z;
  if (z_end > box.end.z) z_end = box.end.z;
  for (int64_t z = z_begin; z < z_end; ++z) {
    for (int64_t y = box.begin.y; y < box.end.y; ++y) {
      row((z * shape.y + y) * shape.x + box.begin.x, box.end.x - box.begin.x);
    }
  }
}

}  // namespace lossd

#endif  // LOSSD_MALIS_GRID_H_
