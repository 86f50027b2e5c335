#ifndef LOSSD_SWEEP_CUDA_GROUPS_H_
#define LOSSD_SWEEP_CUDA_GROUPS_H_

#include <algorithm>
#include <cfloat>
#include <cstddef>
#include <cstdint>

#include "lossd/base/vectorized.h"
#include "lossd/malis/flat/atomics.h"
#include "lossd/sweep/element.h"
#include "lossd/sweep/kernels.h"
#include "lossd/sweep/vector_math.h"

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

// An element's place.
struct Place {
  int64_t sample;
  int64_t channel;
  int64_t voxel;
};

template <typename T>
LOSSD_VECTORIZED T& At(const Grouped<T>& tensor, const Place& at) {
  return tensor.data[at.sample * tensor.sample_stride + at.channel * tensor.channel_stride +
                     at.voxel * tensor.voxel_stride];
}

// Where a sweep puts its gradient.
struct GradientPlace {
  Grouped<float> into;
  bool add = false;                // To what is there.
  uint32_t* not_finite = nullptr;  // Becomes 1 where what is put is not.
};

// Nothing where there is no place.
LOSSD_VECTORIZED void Put(const GradientPlace& place, const Place& at, float gradient) {
  if (place.into.data == nullptr) return;
  if (!(Abs(gradient) <= FLT_MAX)) flat::Store(place.not_finite, uint32_t{1});
  float& into = At(place.into, at);
  into = place.add ? into + gradient : gradient;
}

// The element function of a channel of a pointwise loss (any_element.h), and its options.
struct PointwiseChannel {
  alignas(double) std::byte element[32];
  PointwiseOptions options;
};

// An element's part of a sum of weight × loss, and of its gradient.
struct Weighed {
  double loss;
  float slope;
};
LOSSD_VECTORIZED Weighed Weigh(const LossAndSlope& x, const Grouped<const float>& weights,
                               const Place& at, const PointwiseOptions& options) {
  const bool weighted = weights.data != nullptr;
  const float weight = weighted ? At(weights, at) : 1.0F;
  const bool counts = !weighted || !(weight <= options.weight_floor);
  return {.loss = static_cast<double>(counts ? weight * x.loss : 0.0F),
          .slope = counts ? options.gradient_scale * weight * x.slope : 0.0F};
}

}  // namespace lossd

#endif  // LOSSD_SWEEP_CUDA_GROUPS_H_
