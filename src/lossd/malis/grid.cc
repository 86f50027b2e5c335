#include "lossd/malis/grid.h"

#include <algorithm>

namespace lossd {
namespace {

// The part of an axis of `extent` voxels from which a step of `offset` stays on it.
void ClipAxis(int64_t extent, int64_t offset, int64_t& begin, int64_t& end) {
  if (offset >= extent || offset <= -extent) {
    begin = end = 0;
    return;
  }
  begin = std::max<int64_t>(0, -offset);
  end = std::min(extent, extent - offset);
}

}  // namespace

EdgeBox EdgesOf(const GridShape& shape, const Offset& offset) {
  EdgeBox box;
  if (offset == Offset{}) return box;
  ClipAxis(shape.z, offset.z, box.begin.z, box.end.z);
  ClipAxis(shape.y, offset.y, box.begin.y, box.end.y);
  ClipAxis(shape.x, offset.x, box.begin.x, box.end.x);
  if (!box.empty()) box.stride = (offset.z * shape.y + offset.y) * shape.x + offset.x;
  return box;
}

}  // namespace lossd
