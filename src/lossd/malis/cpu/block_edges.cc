#include "lossd/malis/cpu/block_edges.h"

#include <array>

namespace lossd {

void BlockEdges::Collect(const Box& block) {
  block_ = block;
  lower_.Clear();
  upper_.Clear();
  for (size_t c = 0; c < grid_.channels().size(); ++c) {
    const BlockGrid::Channel& channel = grid_.channels()[c];
    // Where edges begin that end in the block.
    Box source = block;
    for (int k = 0; k < 3; ++k) {
      source.begin[k] -= channel.offset[k];
      source.end[k] -= channel.offset[k];
    }
    const Box own = Intersection(channel.box, block);
    const Box inner = Intersection(own, source);
    if (!own.empty()) CollectOwn(c, own, inner);
    const Box foreign = Intersection(channel.box, source);
    if (!foreign.empty()) CollectForeign(c, foreign, inner);
  }
}

const EdgeKey* BlockEdges::FilteredKeys(size_t channel, int64_t z, int64_t y, int64_t x,
                                        int64_t count) {
  const int64_t first = grid_.Index(z, y, x);
  filter_.Find(static_cast<int64_t>(channel), first, count, bounds_.data());
  return keys_.keys.At(static_cast<int64_t>(channel), first);
}

void BlockEdges::CollectOwn(size_t channel, const Box& own, const Box& inner) {
  const int64_t count = own.end[2] - own.begin[2];
  for (int64_t z = own.begin[0]; z < own.end[0]; ++z) {
    for (int64_t y = own.begin[1]; y < own.end[1]; ++y) {
      const EdgeKey* const keys = FilteredKeys(channel, z, y, own.begin[2], count);
      const uint32_t code = EdgeCode(channel, LocalIn(z, y, own.begin[2]));
      int64_t begin = 0;
      int64_t end = 0;
      if (inner.HasRow(z, y)) {
        begin = inner.begin[2] - own.begin[2];
        end = inner.end[2] - own.begin[2];
      }
      AddOuter(keys, code, 0, begin);
      AddInner(keys, code, begin, end);
      AddOuter(keys, code, end, count);
    }
  }
}

void BlockEdges::AddInner(const EdgeKey* keys, uint32_t code, int64_t begin, int64_t end) {
  lower_.inner.Reserve(lower_.inner.size() + static_cast<size_t>(end - begin) + 1);
  upper_.inner.Reserve(upper_.inner.size() + static_cast<size_t>(end - begin) + 1);
  // Without a branch: which edges stay is unpredictable.
  KeyedCode* lower = lower_.inner.end();
  KeyedCode* upper = upper_.inner.end();
  const EdgeKey* const bounds = bounds_.data();
  const EdgeKey lowest = keys_.lowest;
  const EdgeKey contracted = keys_.contracted;
  for (int64_t i = begin; i < end; ++i) {
    const EdgeKey key = keys[i];
    const KeyedCode edge = {.descending = Descending(key), .code = code + static_cast<uint32_t>(i)};
    const bool kept = key >= bounds[i];
    *lower = edge;
    lower += static_cast<int>(kept & (key >= lowest) & (key < contracted));
    *upper = edge;
    upper += static_cast<int>(kept & (key >= contracted));
  }
  lower_.inner.Resize(static_cast<size_t>(lower - lower_.inner.data()));
  upper_.inner.Resize(static_cast<size_t>(upper - upper_.inner.data()));
}

void BlockEdges::AddOuter(const EdgeKey* keys, uint32_t code, int64_t begin, int64_t end) {
  for (int64_t i = begin; i < end; ++i) {
    if (keys[i] < keys_.lowest || keys[i] < bounds_[i]) continue;
    const uint32_t at = code + static_cast<uint32_t>(i);
    BlockEdgeList& list = ListOf(keys[i]);
    list.outer.PushBack({.descending = Descending(keys[i]), .code = at});
    list.Touch(VoxelOf(at), keys[i]);
  }
}

void BlockEdges::CollectForeign(size_t channel, const Box& foreign, const Box& inner) {
  for (int64_t z = foreign.begin[0]; z < foreign.end[0]; ++z) {
    for (int64_t y = foreign.begin[1]; y < foreign.end[1]; ++y) {
      if (inner.HasRow(z, y)) {
        CollectForeignRow(channel, z, y, foreign.begin[2], inner.begin[2]);
        CollectForeignRow(channel, z, y, inner.end[2], foreign.end[2]);
      } else {
        CollectForeignRow(channel, z, y, foreign.begin[2], foreign.end[2]);
      }
    }
  }
}

void BlockEdges::CollectForeignRow(size_t channel, int64_t z, int64_t y, int64_t begin,
                                   int64_t end) {
  if (begin >= end) return;
  const EdgeKey* const keys = FilteredKeys(channel, z, y, begin, end - begin);
  const std::array<int64_t, 3>& offset = grid_.channels()[channel].offset;
  const uint32_t target = LocalIn(z + offset[0], y + offset[1], begin + offset[2]);
  for (int64_t i = 0; i < end - begin; ++i) {
    if (keys[i] < keys_.lowest || keys[i] < bounds_[i]) continue;
    ListOf(keys[i]).Touch(target + static_cast<uint32_t>(i), keys[i]);
  }
}

}  // namespace lossd
