#ifndef LOSSD_SWEEP_CUDA_GROUPS_H_
#define LOSSD_SWEEP_CUDA_GROUPS_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "lossd/sweep/kernels.h"

// What sweeps on a GPU read and write, in the memory of the current device.
namespace lossd {

// Sizes of tensors [samples, channels, voxels]. A channel of a sample is a group; each is shared
// out to parts, whose sums are added up in their order: so the same tensors give the same bits.
struct Groups {
  int64_t samples;
  int64_t channels;
  int64_t voxels;

  int64_t count() const { return samples * channels; }
  // Of a group: enough for a large GPU to be busy with a few groups.
  int64_t parts() const {
    constexpr int64_t kVoxels = 8192;
    return std::clamp<int64_t>(voxels / kVoxels, 1, 256);
  }
};

// A tensor of such sizes whose voxels lie side by side, or are all one: stride 1 or 0.
template <typename T>
struct Grouped {
  T* data = nullptr;  // Null: there is none.
  int64_t sample_stride = 0;
  int64_t channel_stride = 0;
  int64_t voxel_stride = 0;
};

// Where a sweep puts its gradient.
struct GradientPlace {
  Grouped<float> into;
  bool add = false;                // To what is there.
  uint32_t* not_finite = nullptr;  // Becomes 1 where what is put is not.
};

// The element function of a channel of a pointwise loss (any_element.h), and its options.
struct PointwiseChannel {
  alignas(double) std::byte element[32];
  PointwiseOptions options;
};

}  // namespace lossd

#endif  // LOSSD_SWEEP_CUDA_GROUPS_H_
