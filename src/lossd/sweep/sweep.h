#ifndef LOSSD_SWEEP_SWEEP_H_
#define LOSSD_SWEEP_SWEEP_H_

#include <ATen/ATen.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "lossd/base/context.h"
#include "lossd/losses/loss.h"
#include "lossd/sweep/block_reader.h"

// Sweeps over all blocks of a prediction, shared out to a pool.
namespace lossd {

// Whether fused sweeps can compute on the inputs: everything on the CPU, predictions no wider than
// float32.
bool CanSweep(const LossInputs& inputs);

// The blocks of a tensor [B, C, …], sample by sample and channel by channel.
class Blocks {
 public:
  explicit Blocks(at::IntArrayRef sizes);

  int64_t groups() const { return samples_ * channels_; }
  int64_t channels() const { return channels_; }
  int64_t voxels() const { return voxels_; }
  int64_t count() const { return groups() * per_group_; }
  int64_t per_group() const { return per_group_; }
  BlockRange operator[](int64_t index) const;
  // Index of the first element in a contiguous tensor.
  int64_t Offset(const BlockRange& range) const {
    return (range.sample * channels_ + range.channel) * voxels_ + range.begin;
  }

 private:
  int64_t samples_;
  int64_t channels_;
  int64_t voxels_;
  int64_t per_group_;  // Blocks in a sample's channel.
};

// Calls body(range) -> std::array<double, kSums> for all blocks in parallel and adds up the results
// for each sample and channel (index sample · C + channel), always in the same order: the sums do
// not depend on threads.
template <size_t kSums, typename Body>
std::vector<std::array<double, kSums>> Sweep(const Blocks& blocks, const Context& context,
                                             const Body& body) {
  constexpr int64_t kGrain = 16;
  std::vector<std::array<double, kSums>> partial(blocks.count());
  context.ParallelFor(blocks.count(), kGrain, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) partial[i] = body(blocks[i]);
  });
  std::vector<std::array<double, kSums>> sums(blocks.groups(), std::array<double, kSums>{});
  for (int64_t i = 0; i < blocks.count(); ++i) {
    for (size_t k = 0; k < kSums; ++k) sums[i / blocks.per_group()][k] += partial[i][k];
  }
  return sums;
}

}  // namespace lossd

#endif  // LOSSD_SWEEP_SWEEP_H_
