#include "lossd/losses/soft_skeleton.h"

#include <algorithm>

namespace lossd {
namespace {

MorphologyGrid GridOf(const at::Tensor& volume) {
  const bool has_z = volume.dim() == 3;
  return {
      .z = has_z ? volume.size(0) : 1, .y = volume.size(-2), .x = volume.size(-1), .has_z = has_z};
}

// Calls body(z) for all planes in parallel, those next to each other never at the same time and
// always in the same order: the body may add to the planes next to its own.
template <typename Body>
void ForEachPlaneApart(int64_t planes, TaskPool& pool, const Body& body) {
  constexpr int64_t kSlab = 4;
  const int64_t slabs = (planes + kSlab - 1) / kSlab;
  for (const int64_t odd : {0, 1}) {
    pool.ParallelFor((slabs + 1 - odd) / 2, 1, [&](int64_t index, int64_t /*end*/) {
      const int64_t begin = (2 * index + odd) * kSlab;
      for (int64_t z = begin; z < std::min(begin + kSlab, planes); ++z) body(z);
    });
  }
}

template <typename Body>
void ForEachPlane(int64_t planes, TaskPool& pool, const Body& body) {
  pool.ParallelFor(planes, 1, [&](int64_t z, int64_t /*end*/) { body(z); });
}

}  // namespace

SoftSkeleton::SoftSkeleton(const at::Tensor& volume, int64_t num_iters, TaskPool& pool)
    : pool_(pool), grid_(GridOf(volume)), levels_({volume}) {
  const int64_t plane = grid_.y * grid_.x;
  while (levels_.size() < static_cast<size_t>(num_iters) + 2) {
    const auto* from = levels_.back().const_data_ptr<float>();
    const at::Tensor eroded = at::empty_like(volume);
    auto* to = eroded.mutable_data_ptr<float>();
    ForEachPlane(grid_.z, pool_, [&](int64_t z) { ErodePlane(grid_, from, z, to + z * plane); });
    levels_.push_back(eroded);
  }
}

at::Tensor SoftSkeleton::Skeleton(size_t i) const {
  const int64_t plane = grid_.y * grid_.x;
  const at::Tensor result = at::zeros_like(levels_.front());
  auto* skeleton = result.mutable_data_ptr<float>();
  std::vector<const float*> levels;
  for (size_t k = 0; k <= i + 1; ++k) levels.push_back(levels_[k].const_data_ptr<float>());
  ForEachPlane(grid_.z, pool_, [&](int64_t z) {
    std::vector<float> dilated(plane);
    float* s = skeleton + z * plane;
    for (size_t k = 0; k <= i; ++k) {
      DilatePlane(grid_, levels[k + 1], z, dilated.data());
      const float* level = levels[k] + z * plane;
      for (int64_t v = 0; v < plane; ++v) {
        const float d = std::max(level[v] - dilated[v], 0.0F);
        s[v] += std::max(d - s[v] * d, 0.0F);
      }
    }
  });
  return result;
}

at::Tensor SoftSkeleton::Backward(const at::Tensor& gradient) const {
  const int64_t plane = grid_.y * grid_.x;
  auto* of_skeleton = gradient.mutable_data_ptr<float>();
  at::Tensor of_next = at::zeros_like(gradient);  // With respect to E(i + 1).
  for (size_t i = levels_.size() - 1; i-- > 0;) {
    const at::Tensor skeleton = i > 0 ? Skeleton(i - 1) : at::Tensor();
    const float* s = i > 0 ? skeleton.const_data_ptr<float>() : nullptr;
    const auto* level = levels_[i].const_data_ptr<float>();
    const auto* next = levels_[i + 1].const_data_ptr<float>();
    at::Tensor of_level = at::empty_like(gradient);
    auto* sum = of_level.mutable_data_ptr<float>();
    auto* sum_of_next = of_next.mutable_data_ptr<float>();
    // From S(i) to S(i − 1) and D(i), from that to E(i).
    ForEachPlane(grid_.z, pool_, [&](int64_t z) {
      std::vector<float> dilated(plane);
      DilatePlane(grid_, next, z, dilated.data());
      for (int64_t v = z * plane; v < (z + 1) * plane; ++v) {
        const float d = std::max(level[v] - dilated[v - z * plane], 0.0F);
        const float before = s == nullptr ? 0.0F : s[v];
        // A D of 0 passes nothing on, and with it the relu of the sum.
        const float passed = d - before * d > 0 ? of_skeleton[v] : 0.0F;
        sum[v] = passed * (1.0F - before);
        of_skeleton[v] -= passed * d;
      }
    });
    // From D(i) to E(i + 1), and from that to E(i).
    ForEachPlaneApart(grid_.z, pool_, [&](int64_t z) {
      SubtractDilationGradient(grid_, next, z, sum + z * plane, sum_of_next);
    });
    ForEachPlaneApart(grid_.z, pool_, [&](int64_t z) {
      AddErosionGradient(grid_, level, z, sum_of_next + z * plane, sum);
    });
    of_next = of_level;
  }
  return of_next;
}

}  // namespace lossd
