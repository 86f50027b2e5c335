#ifndef LOSSD_SWEEP_FLAT_SKELETON_VOLUMES_H_
#define LOSSD_SWEEP_FLAT_SKELETON_VOLUMES_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "lossd/base/vectorized.h"
#include "lossd/malis/flat/loops.h"
#include "lossd/sweep/flat/volumes.h"
#include "lossd/sweep/skeleton_element.h"

// Soft skeletons (sweep/soft_skeleton.h) and their derivative by loops over flat arrays, whole
// volumes at a time.
namespace lossd::flat {

// The 3 × 3 × 3 around a voxel.
LOSSD_VECTORIZED Reach Cube() { return {.z = 1, .y = 1, .x = 1}; }

// An extreme of a window, and the number there of the first voxel that has it.
struct Extreme {
  float value;
  uint32_t number;
};

// Of the cube: its dilation.
LOSSD_VECTORIZED Extreme FirstGreatest(const Volumes& volumes, const float* values, uint32_t i) {
  const Window window(volumes, Cube(), i);
  Extreme greatest = {.value = 0, .number = 0};
  bool first = true;
  for (int32_t z = window.begin[0]; z < window.end[0]; ++z) {
    for (int32_t y = window.begin[1]; y < window.end[1]; ++y) {
      for (int32_t x = window.begin[2]; x < window.end[2]; ++x) {
        const float value = values[i + window.Step(z, y, x)];
        if (!first && !(value > greatest.value)) continue;
        greatest = {.value = value, .number = window.Number(z, y, x)};
        first = false;
      }
    }
  }
  return greatest;
}

// From a voxel to the next along an axis.
template <int kAxis>
LOSSD_VECTORIZED int32_t StrideAlong(const Window& window) {
  if constexpr (kAxis == 2) return 1;
  return window.stride[kAxis % 2];
}

// Of the 3 along an axis; numbers are 0 to 2.
template <int kAxis>
LOSSD_VECTORIZED Extreme FirstLeastAlong(const Window& window, const float* values, uint32_t i) {
  const int32_t stride = StrideAlong<kAxis>(window);
  const int32_t begin = window.begin[kAxis];
  Extreme least = {.value = values[i + begin * stride], .number = static_cast<uint32_t>(begin + 1)};
  for (int32_t k = begin + 1; k < window.end[kAxis]; ++k) {
    const float value = values[i + k * stride];
    if (value < least.value) least = {.value = value, .number = static_cast<uint32_t>(k + 1)};
  }
  return least;
}

// Its erosion: the least of the three.
LOSSD_VECTORIZED float Eroded(const Volumes& volumes, const float* values, uint32_t i) {
  const Window window(volumes, Cube(), i);
  const float least = Lesser(FirstLeastAlong<1>(window, values, i).value,
                             FirstLeastAlong<2>(window, values, i).value);
  return volumes.has_z ? Lesser(FirstLeastAlong<0>(window, values, i).value, least) : least;
}

// How an erosion passes its gradient on: along each axis to one voxel, by its number, a share of 0,
// a half or 1. Ten bits.
class ErosionShares {
 public:
  LOSSD_VECTORIZED ErosionShares(const Volumes& volumes, const float* values, uint32_t i) {
    const Window window(volumes, Cube(), i);
    const Extreme z = FirstLeastAlong<0>(window, values, i);
    const Extreme y = FirstLeastAlong<1>(window, values, i);
    const Extreme x = FirstLeastAlong<2>(window, values, i);
    const float least_zy = volumes.has_z ? Lesser(z.value, y.value) : y.value;
    const float share_of_zy = ShareOfFirst(least_zy, x.value);
    const float share_of_z = volumes.has_z ? ShareOfFirst(z.value, y.value) : 0.0F;
    bits_ = static_cast<uint16_t>(z.number | y.number << 2 | x.number << 4 |
                                  Halves(share_of_zy) << 6 | Halves(share_of_z) << 8);
  }

  // What the voxel of that number along an axis gets of a gradient.
  template <int kAxis>
  LOSSD_VECTORIZED float Along(float gradient, uint32_t number) const {
    if ((bits_ >> (2 * kAxis) & 3U) != number) return 0;
    const float of_zy = 0.5F * static_cast<float>(bits_ >> 6 & 3U);
    const float of_z = 0.5F * static_cast<float>(bits_ >> 8 & 3U);
    if (kAxis == 2) return gradient * (1.0F - of_zy);
    return gradient * of_zy * (kAxis == 0 ? of_z : 1.0F - of_z);
  }

 private:
  LOSSD_VECTORIZED static uint32_t Halves(float share) { return static_cast<uint32_t>(2 * share); }

  uint16_t bits_;
};

// What a voxel gets of an erosion's gradient along an axis, and in all.
template <int kAxis>
LOSSD_VECTORIZED float SumOfSharesAlong(const Window& window, const ErosionShares* shares,
                                        const float* gradient, uint32_t i) {
  const int32_t stride = StrideAlong<kAxis>(window);
  float sum = 0;
  for (int32_t k = window.begin[kAxis]; k < window.end[kAxis]; ++k) {
    const uint32_t from = i + k * stride;
    sum += shares[from].Along<kAxis>(gradient[from], static_cast<uint32_t>(1 - k));
  }
  return sum;
}
LOSSD_VECTORIZED float SumOfShares(const Volumes& volumes, const ErosionShares* shares,
                                   const float* gradient, uint32_t i) {
  const Window window(volumes, Cube(), i);
  const float along_z = volumes.has_z ? SumOfSharesAlong<0>(window, shares, gradient, i) : 0.0F;
  return along_z + SumOfSharesAlong<1>(window, shares, gradient, i) +
         SumOfSharesAlong<2>(window, shares, gradient, i);
}

// The erosions E(1), … of volumes and their skeletons S(0), …, the last of which is wanted.
struct Skeletons {
  std::vector<Array<float>> eroded;
  std::vector<Array<float>> thickened;

  float* last() const { return thickened.back().data(); }
};

template <typename Loops>
void Erode(Loops& loops, const Volumes& volumes, const float* level, float* eroded) {
  loops.For(volumes.elements(),
            [=] LOSSD_LAMBDA(uint32_t i) { eroded[i] = Eroded(volumes, level, i); });
}

// A null skeleton is 0.
template <typename Loops>
void ThickenAll(Loops& loops, const Volumes& volumes, const float* level, const float* eroded,
                const float* skeleton, float* next) {
  loops.For(volumes.elements(), [=] LOSSD_LAMBDA(uint32_t i) {
    next[i] = Thicken(level[i], FirstGreatest(volumes, eroded, i).value,
                      skeleton == nullptr ? 0.0F : skeleton[i]);
  });
}

// All of them where a derivative is wanted, else the last skeleton alone.
template <typename Loops>
Skeletons MakeSkeletons(Loops& loops, const Volumes& volumes, const float* volume,
                        int64_t num_iters, bool keep) {
  Skeletons all;
  const float* level = volume;
  const float* skeleton = nullptr;
  for (int64_t i = 0; i <= num_iters; ++i) {
    float* const eroded = all.eroded.emplace_back(loops.memory(), volumes.elements()).data();
    float* const next = all.thickened.emplace_back(loops.memory(), volumes.elements()).data();
    Erode(loops, volumes, level, eroded);
    ThickenAll(loops, volumes, level, eroded, skeleton, next);
    if (!keep && i > 0) {
      all.eroded[i - 1] = Array<float>();
      all.thickened[i - 1] = Array<float>();
    }
    level = eroded;
    skeleton = next;
  }
  if (!keep) all.eroded.clear();
  return all;
}

// Gradients on their way from a skeleton to the volume, of one level.
struct LevelGradient {
  LevelGradient(ScratchMemory& memory, size_t size)
      : of_removed(memory, size), of_eroded(memory, size), shares(memory, size) {}

  Array<float> of_removed;      // With respect to D(i), hence to E(i), by that way.
  Array<float> of_eroded;       // With respect to E(i + 1), whole.
  Array<ErosionShares> shares;  // Of E(i + 1) in E(i).
};

// What of the gradient with respect to E(i) the level i has found.
LOSSD_VECTORIZED float GradientOfLevel(const Volumes& volumes, const float* of_removed,
                                       const float* of_eroded, const ErosionShares* shares,
                                       uint32_t i) {
  return of_removed[i] + SumOfShares(volumes, shares, of_eroded, i);
}

// From S(i) to S(i − 1) and D(i), in `of_removed`, by way of its dilation's first voxels, `chosen`.
template <typename Loops>
void ThroughThickening(Loops& loops, const Volumes& volumes, const float* level,
                       const float* eroded, const float* skeleton, float* of_skeleton,
                       float* of_removed, uint8_t* chosen) {
  loops.For(volumes.elements(), [=] LOSSD_LAMBDA(uint32_t i) {
    const Extreme opened = FirstGreatest(volumes, eroded, i);
    of_removed[i] = ThickenGradient(level[i], opened.value,
                                    skeleton == nullptr ? 0.0F : skeleton[i], of_skeleton[i]);
    chosen[i] = static_cast<uint8_t>(opened.number);
  });
}

// And to E(i + 1), with what the level above, null for the last, has found of it.
template <typename Loops>
void ThroughDilation(Loops& loops, const Volumes& volumes, const float* level,
                     const LevelGradient* above, const uint8_t* chosen, LevelGradient& here) {
  const float* const above_removed = above == nullptr ? nullptr : above->of_removed.data();
  const float* const above_eroded = above == nullptr ? nullptr : above->of_eroded.data();
  const ErosionShares* const above_shares = above == nullptr ? nullptr : above->shares.data();
  const float* const of_removed = here.of_removed.data();
  float* const of_eroded = here.of_eroded.data();
  ErosionShares* const shares = here.shares.data();
  loops.For(volumes.elements(), [=] LOSSD_LAMBDA(uint32_t i) {
    const float found = above_removed == nullptr ? 0.0F
                                                 : GradientOfLevel(volumes, above_removed,
                                                                   above_eroded, above_shares, i);
    of_eroded[i] = found - SumOfChoosers(volumes, Cube(), i, of_removed, chosen);
    shares[i] = ErosionShares(volumes, level, i);
  });
}

template <typename Loops>
void AddGradientOfLevel(Loops& loops, const Volumes& volumes, const LevelGradient& level,
                        float* sum) {
  const float* const of_removed = level.of_removed.data();
  const float* const of_eroded = level.of_eroded.data();
  const ErosionShares* const shares = level.shares.data();
  loops.For(volumes.elements(), [=] LOSSD_LAMBDA(uint32_t i) {
    sum[i] += GradientOfLevel(volumes, of_removed, of_eroded, shares, i);
  });
}

// Adds the gradient with respect to the volume to `sum`, from that with respect to the last
// skeleton, in whose place it lies. Uses it and all else up.
template <typename Loops>
void AddSkeletonGradient(Loops& loops, const Volumes& volumes, const float* volume, Skeletons all,
                         float* sum) {
  const size_t size = volumes.elements();
  const Array<uint8_t> chosen(loops.memory(), size);
  const Array<float> of_skeleton = std::move(all.thickened.back());
  all.thickened.pop_back();
  LevelGradient here(loops.memory(), size);
  LevelGradient above(loops.memory(), size);
  const size_t levels = all.eroded.size();
  while (!all.eroded.empty()) {
    const size_t i = all.eroded.size() - 1;
    const float* const level = i == 0 ? volume : all.eroded[i - 1].data();
    const float* const skeleton = i == 0 ? nullptr : all.thickened[i - 1].data();
    std::swap(here, above);
    ThroughThickening(loops, volumes, level, all.eroded[i].data(), skeleton, of_skeleton.data(),
                      here.of_removed.data(), chosen.data());
    ThroughDilation(loops, volumes, level, i + 1 == levels ? nullptr : &above, chosen.data(), here);
    all.eroded.pop_back();
    if (i > 0) all.thickened.pop_back();
  }
  AddGradientOfLevel(loops, volumes, here, sum);
}

}  // namespace lossd::flat

#endif  // LOSSD_SWEEP_FLAT_SKELETON_VOLUMES_H_
