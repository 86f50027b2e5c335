#ifndef LOSSD_SWEEP_BLOCK_READER_H_
#define LOSSD_SWEEP_BLOCK_READER_H_

#include <ATen/ATen.h>

#include <cstdint>
#include <optional>

#include "lossd/losses/loss.h"

namespace lossd {

// Elements that a fused sweep handles at a time: few enough for all operands to stay in the
// first-level cache.
inline constexpr int64_t kBlockSize = 2048;

// Consecutive elements of one sample and channel of a tensor [B, C, …], whose spatial dimensions
// count as one.
struct BlockRange {
  int64_t sample;
  int64_t channel;
  int64_t begin = 0;
  int64_t size = 0;  // In a sweep at most kBlockSize.
};

// The stride with which the voxels of a tensor [B, C, …] lie in memory: 1, or 0 where they are one
// element; −1 for neither.
int64_t VoxelStride(const at::Tensor& tensor);

// A tensor broadcast to `sizes`, [B, C, …], whose voxels have stride 0 or 1: a copy only where they
// have neither.
at::Tensor SpatiallyDense(at::Tensor tensor, at::IntArrayRef sizes);

// Reads a CPU tensor block by block as float32, whatever its dtype, strides and broadcast
// dimensions. A tensor is copied only where its spatial dimensions are neither dense nor all
// broadcast. Reads may run in parallel.
class BlockReader {
 public:
  // `tensor` is broadcast to `sizes`, [B, C, …], and clamped where that is wanted. Undefined
  // tensors read as null.
  BlockReader(const at::Tensor& tensor, at::IntArrayRef sizes,
              std::optional<ClampRange> clamp = std::nullopt);

  // The elements, valid until the next use of `scratch` (as many floats as the range).
  const float* Read(const BlockRange& range, float* scratch) const;

 private:
  // The elements before they are clamped.
  const float* Widen(const BlockRange& range, float* scratch) const;

  at::Tensor tensor_;  // Keeps the elements alive.
  std::optional<ClampRange> clamp_;
  const char* data_ = nullptr;
  at::ScalarType type_ = at::kFloat;
  int64_t sample_stride_ = 0;
  int64_t channel_stride_ = 0;
  int64_t voxel_stride_ = 0;  // 0 or 1.
};

}  // namespace lossd

#endif  // LOSSD_SWEEP_BLOCK_READER_H_
