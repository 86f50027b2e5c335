#include "lossd/malis/cpu/block_grid.h"

#include <algorithm>

namespace lossd {
namespace {

// Beyond this length of a block along x, its other faces grow for little.
constexpr int kRowBits = 6;

}  // namespace

Box Intersection(const Box& a, const Box& b) {
  Box box;
  for (int k = 0; k < 3; ++k) {
    box.begin[k] = std::max(a.begin[k], b.begin[k]);
    box.end[k] = std::max(box.begin[k], std::min(a.end[k], b.end[k]));
  }
  return box;
}

BlockGrid::BlockGrid(const GridShape& shape, absl::Span<const Offset> neighborhood, int block_bits)
    : extent_{shape.z, shape.y, shape.x} {
  const auto covers = [&](int axis) { return (int64_t{1} << bits_[axis]) >= extent_[axis]; };
  // Along x first: rows are contiguous there, which memory likes. Then the narrowest axis.
  for (int left = block_bits; left > 0; --left) {
    int axis = -1;
    if (bits_[2] < kRowBits && !covers(2)) {
      axis = 2;
    } else {
      for (const int k : {2, 1, 0}) {
        if (!covers(k) && (axis < 0 || bits_[k] < bits_[axis])) axis = k;
      }
    }
    if (axis < 0) break;
    ++bits_[axis];
  }
  for (int k = 0; k < 3; ++k) {
    count_[k] = (extent_[k] + (int64_t{1} << bits_[k]) - 1) >> bits_[k];
  }
  for (const Offset& offset : neighborhood) {
    const EdgeBox box = EdgesOf(shape, offset);
    // A channel without edges has an offset that may be too long to reckon with.
    const Offset step = box.empty() ? Offset{} : offset;
    channels_.push_back({.box = {.begin = {box.begin.z, box.begin.y, box.begin.x},
                                 .end = {box.end.z, box.end.y, box.end.x}},
                         .offset = {step.z, step.y, step.x},
                         .local_stride = LocalOf(step.z, step.y, step.x)});
  }
}

Box BlockGrid::BoxOf(int64_t block) const {
  const std::array<int64_t, 3> at = {block / count_[2] / count_[1], block / count_[2] % count_[1],
                                     block % count_[2]};
  Box box;
  for (int k = 0; k < 3; ++k) {
    box.begin[k] = at[k] << bits_[k];
    box.end[k] = std::min(extent_[k], (at[k] + 1) << bits_[k]);
  }
  return box;
}

}  // namespace lossd
