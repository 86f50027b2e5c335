#include "tests/oracle/random_volume.h"

#include <algorithm>
#include <limits>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"

namespace lossd {

RandomVolume::RandomVolume(uint32_t seed) : random_(seed) {
  DrawGrid();
  DrawAffinities();
  DrawTruth();
}

std::string RandomVolume::Describe() const {
  std::string text = absl::StrCat(shape_.z, "×", shape_.y, "×", shape_.x, " offsets");
  for (const Offset& o : neighborhood_) absl::StrAppend(&text, " (", o.z, ",", o.y, ",", o.x, ")");
  if (affinity_.size() > 100) return text;
  return absl::StrCat(text, "\naffinity ", absl::StrJoin(affinity_, " "), "\npositive ",
                      absl::StrJoin(positive_, " "), "\nknown ", absl::StrJoin(known_, " "),
                      "\nlabels ", absl::StrJoin(labels_, " "));
}

void RandomVolume::DrawGrid() {
  switch (Draw(8)) {
    case 0:
      shape_ = {.z = 1, .y = 1, .x = 1 + Draw(60)};
      break;
    case 1:
      shape_ = {.z = 1 + Draw(40), .y = 1, .x = 1 + Draw(2)};
      break;
    case 2:  // Wide enough to have several words, runs and blocks in a row.
      shape_ = {.z = 1 + Draw(3), .y = 1 + Draw(4), .x = 50 + Draw(100)};
      break;
    default:
      shape_ = {.z = 1 + Draw(7), .y = 1 + Draw(7), .x = 1 + Draw(7)};
  }
  const std::vector<Offset> nearest = {
      {.z = -1, .y = 0, .x = 0}, {.z = 0, .y = -1, .x = 0}, {.z = 0, .y = 0, .x = -1}};
  switch (Draw(5)) {
    case 0:
      neighborhood_ = nearest;
      break;
    case 1:
      for (const Offset& o : nearest) {
        neighborhood_.push_back({.z = -o.z, .y = -o.y, .x = -o.x});
      }
      break;
    case 2:
      neighborhood_ = nearest;
      [[fallthrough]];
    default:
      for (int i = Draw(6); i >= 0; --i) {
        const int reach = 1 + Draw(4);
        const auto step = [&] { return Draw(2 * reach + 1) - reach; };
        neighborhood_.push_back({.z = step(), .y = step(), .x = step()});
        if (Draw(10) == 0) neighborhood_.push_back(neighborhood_.front());
        if (Draw(20) == 0) {
          neighborhood_.push_back({.z = std::numeric_limits<int64_t>::min(),
                                   .y = std::numeric_limits<int64_t>::max(),
                                   .x = 0});
        }
      }
  }
  edges_ = neighborhood_.size() * static_cast<size_t>(shape_.voxels());
}

void RandomVolume::DrawAffinities() {
  const int kind = Draw(6);
  std::uniform_real_distribution<float> uniform(0.0F, 1.0F);
  affinity_.resize(edges_);
  for (float& a : affinity_) {
    switch (kind) {
      case 0:  // At and beyond the constraints' values.
        a = static_cast<float>(Draw(9) - 3) / 3.0F;
        break;
      case 1:
        a = uniform(random_) * 4.0F - 1.5F;
        break;
      case 2:  // Ties everywhere.
        a = static_cast<float>(Draw(4)) / 3.0F;
        break;
      case 3:
        a = 0.5F;
        break;
      case 4:
        a = Draw(3) == 0 ? -0.0F : std::max(0.0F, uniform(random_) - 0.5F);
        break;
      default:
        a = uniform(random_);
    }
  }
  if (kind == 1 && Draw(4) == 0) {
    affinity_[Draw(static_cast<int>(edges_))] = std::numeric_limits<float>::infinity();
    affinity_[Draw(static_cast<int>(edges_))] = -std::numeric_limits<float>::infinity();
  }
}

void RandomVolume::DrawTruth() {
  const auto voxels = static_cast<size_t>(shape_.voxels());
  // A segmentation of boxes, then what is made of it.
  std::vector<uint32_t> segmentation(voxels);
  const int objects = Draw(6);
  const size_t piece = size_t{1} + Draw(9);
  const bool sparse = Draw(3) == 0;
  for (size_t v = 0; v < voxels; ++v) {
    if (v % piece != 0 && v > 0) {
      segmentation[v] = segmentation[v - 1];
    } else if (objects > 0) {
      segmentation[v] = static_cast<uint32_t>(Draw(objects + 1));
      if (sparse && segmentation[v] != 0) segmentation[v] = ~(segmentation[v] * 715827883U);
    }
  }
  positive_.assign(edges_, 0);
  const int truth = Draw(4);
  const int rate = 1 + Draw(9);
  for (uint8_t& p : positive_) p = Draw(10) < rate ? 1 : 0;
  if (truth != 0) {  // Affinities of the segmentation, perhaps with some flipped.
    for (size_t c = 0; c < neighborhood_.size(); ++c) {
      const EdgeBox box = EdgesOf(shape_, neighborhood_[c]);
      ForEachRow(shape_, box, 0, shape_.z, [&](int64_t first, int64_t count) {
        for (int64_t v = first; v < first + count; ++v) {
          const bool same = segmentation[v] == segmentation[v + box.stride];
          positive_[c * voxels + v] = same && segmentation[v] != 0 ? 1 : 0;
          if (truth == 1 && Draw(20) == 0) positive_[c * voxels + v] ^= 1;
        }
      });
    }
  }
  if (Draw(3) != 0) labels_ = segmentation;
  if (Draw(8) == 0) labels_.assign(voxels, 0);
  if (Draw(8) == 0) labels_.assign(voxels, 77);
  if (Draw(3) == 0) {
    known_.resize(edges_);
    const int unknown = Draw(10);
    for (uint8_t& k : known_) k = Draw(10) >= unknown ? 1 : 0;
  }
}

}  // namespace lossd
