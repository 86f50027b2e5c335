#ifndef LOSSD_MALIS_CPU_BLOCK_GRID_H_
#define LOSSD_MALIS_CPU_BLOCK_GRID_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/types/span.h"
#include "lossd/malis/grid.h"

namespace lossd {

// A block has 2¹⁵ voxels at most: their sets fit a core's level-2 cache, their numbers 16 bits.
inline constexpr int kBlockBits = 15;
inline constexpr uint32_t kBlockVoxels = 1U << kBlockBits;

// The number of a voxel within its block.
using LocalVoxel = uint16_t;

// An edge that begins in a block: its channel and local voxel, ordered like edge indices.
inline uint32_t EdgeCode(size_t channel, uint32_t local) {
  return static_cast<uint32_t>(channel) << kBlockBits | local;
}
inline uint32_t ChannelOf(uint32_t code) { return code >> kBlockBits; }
inline uint32_t VoxelOf(uint32_t code) { return code & (kBlockVoxels - 1); }

// A range of voxels along the three axes.
struct Box {
  std::array<int64_t, 3> begin;
  std::array<int64_t, 3> end;

  // Whether voxels of row (z, y) are in it.
  bool HasRow(int64_t z, int64_t y) const {
    return !empty() && z >= begin[0] && z < end[0] && y >= begin[1] && y < end[1];
  }
  bool empty() const { return begin[0] >= end[0] || begin[1] >= end[1] || begin[2] >= end[2]; }
};

Box Intersection(const Box& a, const Box& b);

// How a volume is cut into blocks. Block extents are powers of two, so that a voxel's number within
// its block is a concatenation of its coordinates' bits.
class BlockGrid {
 public:
  // The edges of one offset.
  struct Channel {
    Box box;  // Of the voxels that have the edge.
    std::array<int64_t, 3> offset;
    int64_t
        local_stride;  // From a local voxel to the edge's other end, where that is in the block.
  };

  BlockGrid(const GridShape& shape, absl::Span<const Offset> neighborhood, int block_bits);

  int64_t blocks() const { return count_[0] * count_[1] * count_[2]; }
  const std::vector<Channel>& channels() const { return channels_; }
  int64_t voxels() const { return extent_[0] * extent_[1] * extent_[2]; }

  // The index of a voxel in the volume.
  int64_t Index(int64_t z, int64_t y, int64_t x) const {
    return (z * extent_[1] + y) * extent_[2] + x;
  }

  Box BoxOf(int64_t block) const;
  int64_t BlockOf(int64_t z, int64_t y, int64_t x) const {
    return ((z >> bits_[0]) * count_[1] + (y >> bits_[1])) * count_[2] + (x >> bits_[2]);
  }

  // The number of a voxel relative to the first of its block; for offsets, the difference of two.
  int64_t LocalOf(int64_t z, int64_t y, int64_t x) const {
    return z * (int64_t{1} << (bits_[1] + bits_[2])) + y * (int64_t{1} << bits_[2]) + x;
  }
  int64_t LocalX(uint32_t local) const { return local & ((1U << bits_[2]) - 1); }
  int64_t LocalY(uint32_t local) const { return (local >> bits_[2]) & ((1U << bits_[1]) - 1); }
  int64_t LocalZ(uint32_t local) const { return local >> (bits_[1] + bits_[2]); }

  // The index of a local voxel, relative to that of its block's first.
  int64_t IndexOf(uint32_t local) const {
    return Index(LocalZ(local), LocalY(local), LocalX(local));
  }

  // Calls row(index of the first voxel, its local number, count) for every row along x of a block.
  template <typename Row>
  void ForEachBlockRow(const Box& box, const Row& row) const {
    const auto count = static_cast<uint32_t>(box.end[2] - box.begin[2]);
    for (int64_t z = box.begin[0]; z < box.end[0]; ++z) {
      for (int64_t y = box.begin[1]; y < box.end[1]; ++y) {
        row(Index(z, y, box.begin[2]),
            static_cast<uint32_t>(LocalOf(z - box.begin[0], y - box.begin[1], 0)), count);
      }
    }
  }

 private:
  std::array<int64_t, 3> extent_;
  std::array<int, 3> bits_ = {0, 0, 0};
  std::array<int64_t, 3> count_ = {1, 1, 1};
  std::vector<Channel> channels_;
};

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_BLOCK_GRID_H_
