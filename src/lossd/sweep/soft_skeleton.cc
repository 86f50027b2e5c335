#include "lossd/sweep/soft_skeleton.h"

#include <algorithm>
#include <vector>

#include "lossd/sweep/skeleton_kernels.h"

namespace lossd {
namespace {

// Voxels of a plane that one task takes through the iterations, a block at a time.
constexpr int64_t kGrain = 4096;
constexpr int64_t kBlock = 512;

// Those planes of a volume that are `kept` at a time, around one that moves on. All rings together
// may be many volumes, hence the workspace: the system takes its time to get and free that much.
class PlaneRing {
 public:
  PlaneRing(const VolumeShape& shape, int64_t kept, Workspace& workspace)
      : kept_(std::min(kept, shape.z)),
        size_(shape.plane.voxels()),
        planes_(workspace, static_cast<size_t>(kept_ * size_)) {}

  void FillWithZeros() { std::fill(planes_.begin(), planes_.end(), 0.0F); }

  float* operator[](int64_t z) { return planes_.data() + z % kept_ * size_; }

 private:
  int64_t kept_;
  int64_t size_;
  Workspace::Buffer<float> planes_;
};

// Plane z, as plane_of(z) has it, and those next to it.
template <typename T, typename PlaneOf>
Planes<T> Around(const VolumeShape& shape, int64_t z, const PlaneOf& plane_of) {
  return {.before = z > 0 ? plane_of(z - 1) : nullptr,
          .plane = plane_of(z),
          .after = z + 1 < shape.z ? plane_of(z + 1) : nullptr};
}

// A plane that moves through a volume, with the erosions around it.
class Front {
 public:
  // Keeps E(i) on as many planes behind the front as `behind`(i) says, at least one.
  template <typename Behind>
  Front(const VolumeShape& shape, const float* volume, int64_t erosions, const Context& context,
        const Behind& behind)
      : shape_(shape),
        volume_(volume),
        erosions_(erosions),
        context_(context),
        opened_(static_cast<size_t>(erosions * shape.plane.voxels())) {
    for (int64_t i = 1; i <= erosions; ++i) {
      rings_.emplace_back(shape, behind(i) + 1 + Distance(i), context.workspace());
    }
  }

  int64_t erosions() const { return erosions_; }

  // How many planes ahead of the front E(i) is made, and behind it its gradient passed on: two more
  // than for E(i + 1). As a plane needs both its neighbours of the level before, these have then
  // been made with an earlier front, and all levels can be worked on at the same time.
  int64_t Distance(int64_t i) const { return 1 + 2 * (erosions_ - i); }
  // Where to begin: before the volume, for the erosions' sake.
  int64_t first() const { return -Distance(1); }

  // Makes the erosions that are due and, within the volume, what they leave of it. Every plane from
  // first() on has its turn.
  void MoveTo(int64_t front) {
    front_ = front;
    context_.ParallelFor(erosions_, 1, [&](int64_t index, int64_t /*end*/) {
      const int64_t i = index + 1;
      const int64_t z = front + Distance(i);
      if (shape_.Has(z)) ErodePlane(shape_.plane, LevelAround(i - 1, z), rings_[index][z]);
    });
    if (!shape_.Has(front)) return;
    context_.ParallelFor(erosions_, 1, [&](int64_t i, int64_t /*end*/) {
      DilatePlane(shape_.plane, LevelAround(i + 1, front), MutableOpened(i));
    });
  }

  // E(i) and the dilation of E(i + 1) at the front.
  const float* level(int64_t i) { return PlaneOf(i, front_); }
  const float* opened(int64_t i) { return MutableOpened(i); }

  Planes<const float> LevelAround(int64_t i, int64_t z) {
    return Around<const float>(shape_, z, [&](int64_t k) { return PlaneOf(i, k); });
  }

 private:
  const float* PlaneOf(int64_t i, int64_t z) {
    return i == 0 ? volume_ + z * shape_.plane.voxels() : rings_[i - 1][z];
  }
  float* MutableOpened(int64_t i) { return opened_.data() + i * shape_.plane.voxels(); }

  VolumeShape shape_;
  const float* volume_;
  int64_t erosions_;
  const Context& context_;
  int64_t front_ = 0;
  std::vector<PlaneRing> rings_;  // E(1), …
  std::vector<float> opened_;     // [erosions, Y, X]
};

// Passes gradients on from the skeleton to the volume, in step with a front.
class Backward {
 public:
  Backward(const VolumeShape& shape, Front& front, const Context& context, float* sum)
      : shape_(shape),
        front_(front),
        context_(context),
        sum_(sum),
        of_removed_(static_cast<size_t>(front.erosions() * shape.plane.voxels())) {
    for (int64_t i = 1; i <= front.erosions() && !context.Cancelled(); ++i) {
      // From the plane that is passed on to the one after the front.
      of_levels_.emplace_back(shape, front.Distance(i) + 2, context.workspace()).FillWithZeros();
    }
  }

  // From the plane of the skeleton at the front to D(i), and from there to E(i). Uses up the
  // gradient.
  void ThroughIterations(int64_t z, float* gradient) {
    context_.ParallelFor(shape_.plane.voxels(), kGrain, [&](int64_t begin, int64_t end) {
      // S(i − 1) of each D(i); that of D(0) stays 0.
      std::vector<float> skeletons(static_cast<size_t>(front_.erosions() * kBlock));
      for (; begin < end; begin += kBlock) {
        const int64_t size = std::min(kBlock, end - begin);
        const auto skeleton = [&](int64_t i) { return skeletons.data() + i * kBlock; };
        for (int64_t i = 0; i + 1 < front_.erosions(); ++i) {
          ThickenBlock(front_.level(i) + begin, front_.opened(i) + begin, skeleton(i), size,
                       skeleton(i + 1));
        }
        for (int64_t i = front_.erosions() - 1; i >= 0; --i) {
          ThickenGradientBlock(front_.level(i) + begin, front_.opened(i) + begin, skeleton(i), size,
                               gradient + begin, OfRemoved(i) + begin);
          float* const of_level = OfLevel(i, z) + begin;
          const float* const of_removed = OfRemoved(i) + begin;
          for (int64_t v = 0; v < size; ++v) of_level[v] += of_removed[v];
        }
      }
    });
  }

  // From D(i) at the front to E(i + 1).
  void ThroughDilations(int64_t z) {
    context_.ParallelFor(front_.erosions(), 1, [&](int64_t i, int64_t /*end*/) {
      SubtractDilationGradient(shape_.plane, front_.LevelAround(i + 1, z), front_.opened(i),
                               OfRemoved(i), OfLevelAround(i + 1, z));
    });
  }

  // From E(i), where the front is done with it, to E(i − 1).
  void ThroughErosions(int64_t front) {
    context_.ParallelFor(front_.erosions(), 1, [&](int64_t index, int64_t /*end*/) {
      const int64_t i = index + 1;
      const int64_t z = front - front_.Distance(i);
      if (!shape_.Has(z)) return;
      AddErosionGradient(shape_.plane, front_.LevelAround(i - 1, z), OfLevel(i, z),
                         OfLevelAround(i - 1, z));
      // In its place another plane begins.
      std::fill_n(OfLevel(i, z), shape_.plane.voxels(), 0.0F);
    });
  }

 private:
  float* OfRemoved(int64_t i) { return of_removed_.data() + i * shape_.plane.voxels(); }
  float* OfLevel(int64_t i, int64_t z) {
    return i == 0 ? sum_ + z * shape_.plane.voxels() : of_levels_[i - 1][z];
  }
  Planes<float> OfLevelAround(int64_t i, int64_t z) {
    return Around<float>(shape_, z, [&](int64_t k) { return OfLevel(i, k); });
  }

  VolumeShape shape_;
  Front& front_;
  const Context& context_;
  float* sum_;
  std::vector<PlaneRing> of_levels_;  // Of E(1), …
  std::vector<float> of_removed_;     // [erosions, Y, X], of D(0), … at the front.
};

}  // namespace

void ForEachSkeletonPlane(const VolumeShape& shape, const float* volume, int64_t num_iters,
                          const Context& context,
                          const std::function<void(int64_t z, const float* plane)>& body) {
  Front front(shape, volume, num_iters + 1, context, [](int64_t /*i*/) { return 1; });
  std::vector<float> skeleton(static_cast<size_t>(shape.plane.voxels()));
  for (int64_t z = front.first(); z < shape.z && !context.Cancelled(); ++z) {
    front.MoveTo(z);
    if (!shape.Has(z)) continue;
    context.ParallelFor(shape.plane.voxels(), kGrain, [&](int64_t begin, int64_t end) {
      for (; begin < end; begin += kBlock) {
        const int64_t size = std::min(kBlock, end - begin);
        float* const block = skeleton.data() + begin;
        std::fill_n(block, size, 0.0F);
        for (int64_t i = 0; i < front.erosions(); ++i) {
          ThickenBlock(front.level(i) + begin, front.opened(i) + begin, block, size, block);
        }
      }
    });
    body(z, skeleton.data());
  }
}

void AddSkeletonGradient(const VolumeShape& shape, const float* volume, int64_t num_iters,
                         const Context& context,
                         const std::function<void(int64_t z, float* plane)>& gradient, float* sum) {
  const int64_t erosions = num_iters + 1;
  Front front(shape, volume, erosions, context, [&](int64_t i) {
    // E(i) is looked at again when the gradient of E(i + 1) is passed on.
    return std::max<int64_t>(1, 2 * (erosions - i));
  });
  Backward backward(shape, front, context, sum);
  std::vector<float> of_skeleton(static_cast<size_t>(shape.plane.voxels()));
  for (int64_t z = front.first(); z < shape.z + front.Distance(1) && !context.Cancelled(); ++z) {
    front.MoveTo(z);
    if (shape.Has(z)) {
      gradient(z, of_skeleton.data());
      backward.ThroughIterations(z, of_skeleton.data());
      backward.ThroughDilations(z);
    }
    backward.ThroughErosions(z);
  }
}

}  // namespace lossd
