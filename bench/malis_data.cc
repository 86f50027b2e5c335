#include "bench/malis_data.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstddef>
#include <random>
#include <utility>

#include "lossd/malis/affinities.h"

namespace lossd {
namespace {

constexpr std::array<Offset, 6> kFaces = {{{.z = -1, .y = 0, .x = 0},
                                           {.z = 1, .y = 0, .x = 0},
                                           {.z = 0, .y = -1, .x = 0},
                                           {.z = 0, .y = 1, .x = 0},
                                           {.z = 0, .y = 0, .x = -1},
                                           {.z = 0, .y = 0, .x = 1}}};

bool Inside(const GridShape& shape, int64_t z, int64_t y, int64_t x) {
  return z >= 0 && z < shape.z && y >= 0 && y < shape.y && x >= 0 && x < shape.x;
}

// Calls visit(v, u) for every voxel v and every face neighbour u of it.
template <typename Visit>
void ForEachFace(const GridShape& shape, const Visit& visit) {
  size_t v = 0;
  for (int64_t z = 0; z < shape.z; ++z) {
    for (int64_t y = 0; y < shape.y; ++y) {
      for (int64_t x = 0; x < shape.x; ++x, ++v) {
        for (const Offset& o : kFaces) {
          if (!Inside(shape, z + o.z, y + o.y, x + o.x)) continue;
          visit(v, static_cast<size_t>(((z + o.z) * shape.y + y + o.y) * shape.x + x + o.x));
        }
      }
    }
  }
}

void PaintBall(Segmentation& into, std::array<double, 3> center, double radius, uint32_t label) {
  const auto lo = [&](double c) { return static_cast<int64_t>(std::floor(c - radius)); };
  const auto hi = [&](double c) { return static_cast<int64_t>(std::ceil(c + radius)); };
  for (int64_t z = lo(center[0]); z <= hi(center[0]); ++z) {
    for (int64_t y = lo(center[1]); y <= hi(center[1]); ++y) {
      for (int64_t x = lo(center[2]); x <= hi(center[2]); ++x) {
        if (!Inside(into.shape, z, y, x)) continue;
        const double dz = static_cast<double>(z) - center[0];
        const double dy = static_cast<double>(y) - center[1];
        const double dx = static_cast<double>(x) - center[2];
        if (dz * dz + dy * dy + dx * dx > radius * radius) continue;
        uint32_t& voxel = into.labels[(z * into.shape.y + y) * into.shape.x + x];
        if (voxel == 0) voxel = label;
      }
    }
  }
}

// Averages each voxel with its two neighbours along every axis; the border repeats itself.
void Blur(const GridShape& shape, std::vector<float>& field) {
  const std::array<std::pair<int64_t, int64_t>, 3> axes = {
      {{shape.y * shape.x, shape.z}, {shape.x, shape.y}, {1, shape.x}}};
  std::vector<float> from(field.size());
  for (const auto& [stride, extent] : axes) {
    from.swap(field);
    for (int64_t v = 0; v < static_cast<int64_t>(from.size()); ++v) {
      const int64_t at = v / stride % extent;
      const float before = from[at > 0 ? v - stride : v];
      const float after = from[at + 1 < extent ? v + stride : v];
      field[v] = (before + from[v] + after) / 3.0F;
    }
  }
}

std::vector<float> Noise(size_t size, std::minstd_rand& random) {
  std::uniform_real_distribution<float> uniform(-1.0F, 1.0F);
  std::vector<float> noise(size);
  for (float& value : noise) value = uniform(random) + uniform(random) + uniform(random);
  return noise;
}

// Logits of one channel as a half-trained network gives them.
std::vector<float> Logits(const GridShape& shape, absl::Span<const uint8_t> truth,
                          std::minstd_rand& random) {
  std::vector<float> logits(truth.size());
  for (size_t v = 0; v < truth.size(); ++v) logits[v] = truth[v] != 0 ? 3.0F : -3.0F;
  Blur(shape, logits);
  std::vector<float> smooth = Noise(truth.size(), random);
  Blur(shape, smooth);
  Blur(shape, smooth);
  const std::vector<float> white = Noise(truth.size(), random);
  for (size_t v = 0; v < truth.size(); ++v) logits[v] += 8.0F * smooth[v] + 0.3F * white[v];
  return logits;
}

float RoundToHalf(float value) {
  int exponent = 0;
  const float mantissa = std::frexp(value, &exponent);
  return std::ldexp(std::round(std::ldexp(mantissa, 11)), exponent - 11);
}

float Sigmoid(float logit) { return 1.0F / (1.0F + std::exp(-logit)); }

}  // namespace

Segmentation SyntheticNeurites(const GridShape& shape, uint32_t seed) {
  Segmentation result = {.shape = shape, .labels = std::vector<uint32_t>(shape.voxels(), 0)};
  std::minstd_rand random(seed);
  std::uniform_real_distribution<double> uniform(0.0, 1.0);
  std::normal_distribution<double> normal;
  const std::array<double, 3> extent = {static_cast<double>(shape.z), static_cast<double>(shape.y),
                                        static_cast<double>(shape.x)};
  const double side = std::cbrt(extent[0] * extent[1] * extent[2]);
  uint32_t label = 1;
  PaintBall(result, {0.3 * extent[0], 0.3 * extent[1], 0.3 * extent[2]}, 0.2 * side, label);
  const auto neurites = static_cast<int>(side * side / 60.0) + 2;
  for (int i = 0; i < neurites; ++i) {
    ++label;
    std::array<double, 3> at = {};
    std::array<double, 3> heading = {};
    for (int k = 0; k < 3; ++k) {
      at[k] = uniform(random) * extent[k];
      heading[k] = normal(random);
    }
    const double radius = 1.5 + 3.0 * uniform(random);
    for (int step = 0; step < static_cast<int>(side); ++step) {
      PaintBall(result, at, radius, label);
      const double norm = std::hypot(heading[0], heading[1], heading[2]);
      for (int k = 0; k < 3; ++k) {
        at[k] += 1.5 * heading[k] / norm;
        heading[k] = heading[k] / norm + 0.2 * normal(random);
      }
    }
  }
  // Grow everything until no gap is left.
  std::vector<size_t> front(1);
  while (!front.empty()) {
    front.clear();
    std::vector<uint32_t> grown = result.labels;
    ForEachFace(shape, [&](size_t v, size_t u) {
      if (grown[v] != 0 || result.labels[u] == 0) return;
      grown[v] = result.labels[u];
      front.push_back(v);
    });
    result.labels = std::move(grown);
  }
  return result;
}

Segmentation Crop(const Segmentation& from, const GridShape& origin, const GridShape& shape) {
  Segmentation crop = {.shape = shape, .labels = {}};
  crop.labels.reserve(shape.voxels());
  for (int64_t z = origin.z; z < origin.z + shape.z; ++z) {
    for (int64_t y = origin.y; y < origin.y + shape.y; ++y) {
      const auto row = from.labels.begin() + ((z * from.shape.y + y) * from.shape.x + origin.x);
      crop.labels.insert(crop.labels.end(), row, row + shape.x);
    }
  }
  return crop;
}

Segmentation Erode(const Segmentation& segmentation) {
  Segmentation eroded = segmentation;
  ForEachFace(segmentation.shape, [&](size_t v, size_t u) {
    if (segmentation.labels[u] != 0 && segmentation.labels[u] != segmentation.labels[v]) {
      eroded.labels[v] = 0;
    }
  });
  return eroded;
}

std::vector<Offset> NearestNeighborhood() {
  return {{.z = -1, .y = 0, .x = 0}, {.z = 0, .y = -1, .x = 0}, {.z = 0, .y = 0, .x = -1}};
}

std::vector<Offset> LongRangeNeighborhood() {
  std::vector<Offset> offsets = NearestNeighborhood();
  for (const int64_t step : {3, 9, 27}) {
    offsets.push_back({.z = -(step / 3 + 1), .y = 0, .x = 0});
    offsets.push_back({.z = 0, .y = -step, .x = 0});
    offsets.push_back({.z = 0, .y = 0, .x = -step});
  }
  return offsets;
}

MalisVolume MakeVolume(const Segmentation& segmentation, const std::vector<Offset>& neighborhood,
                       Prediction prediction, uint32_t seed) {
  const GridShape& shape = segmentation.shape;
  const size_t voxels = segmentation.labels.size();
  MalisVolume volume = {.shape = shape,
                        .neighborhood = neighborhood,
                        .affinity = std::vector<float>(neighborhood.size() * voxels),
                        .positive = std::vector<uint8_t>(neighborhood.size() * voxels),
                        .labels = segmentation.labels};
  TaskPool pool(1);
  AffinitiesFromLabels<uint32_t>(shape, neighborhood, segmentation.labels, pool,
                                 absl::MakeSpan(volume.positive));
  std::minstd_rand random(seed);
  for (size_t c = 0; c < neighborhood.size(); ++c) {
    const auto out = volume.affinity.begin() + static_cast<ptrdiff_t>(c * voxels);
    if (prediction == Prediction::kConstant) {
      std::fill_n(out, voxels, 0.5F);
      continue;
    }
    if (prediction == Prediction::kCheckerboard) {
      for (int64_t v = 0; v < static_cast<int64_t>(voxels); ++v) {
        const int64_t parity = v % shape.x + v / shape.x % shape.y + v / shape.x / shape.y;
        out[v] = parity % 2 == 0 ? 0.3F : 0.7F;
      }
      continue;
    }
    const std::vector<float> logits =
        Logits(shape, absl::MakeConstSpan(volume.positive).subspan(c * voxels, voxels), random);
    std::transform(logits.begin(), logits.end(), out, [&](float logit) {
      switch (prediction) {
        case Prediction::kSaturated:
          return Sigmoid(40.0F * logit);
        case Prediction::kHalfFloat:
          return RoundToHalf(Sigmoid(logit));
        default:
          return Sigmoid(logit);
      }
    });
  }
  return volume;
}

MalisVolume Inconsistent(const Segmentation& segmentation, uint32_t labels) {
  MalisVolume volume = MakeVolume(segmentation, NearestNeighborhood(), Prediction::kHalfTrained, 1);
  for (size_t v = 0; v < volume.labels.size(); ++v) {
    volume.labels[v] = static_cast<uint32_t>(v * 2654435761U) % labels;
  }
  return volume;
}

void ForEachInput(const Segmentation& crop,
                  const std::function<void(absl::string_view, const MalisVolume&)>& visit) {
  const auto volume = [](const Segmentation& segmentation, Prediction prediction) {
    return MakeVolume(segmentation, NearestNeighborhood(), prediction, 1);
  };
  const Segmentation eroded = Erode(crop);
  visit("typical: eroded neurites, half-trained", volume(eroded, Prediction::kHalfTrained));
  visit("half-precision prediction", volume(eroded, Prediction::kHalfFloat));
  visit("saturated prediction", volume(eroded, Prediction::kSaturated));
  visit("constant prediction", volume(eroded, Prediction::kConstant));
  visit("checkerboard prediction", volume(eroded, Prediction::kCheckerboard));
  visit("not eroded", volume(crop, Prediction::kHalfTrained));

  Segmentation one = crop;
  std::fill(one.labels.begin(), one.labels.end(), 1U);
  visit("one giant object", volume(one, Prediction::kHalfTrained));
  visit("one giant object, constant prediction", volume(one, Prediction::kConstant));
  Segmentation none = crop;
  std::fill(none.labels.begin(), none.labels.end(), 0U);
  visit("background only", volume(none, Prediction::kHalfTrained));
  Segmentation voxels = crop;
  for (size_t v = 0; v < voxels.labels.size(); ++v) voxels.labels[v] = static_cast<uint32_t>(v + 1);
  visit("every voxel an object", volume(voxels, Prediction::kHalfTrained));
  visit("every voxel an object, constant prediction", volume(voxels, Prediction::kConstant));

  visit("inconsistent: a thousand labels at random", Inconsistent(eroded, 1000));
  MalisVolume inconsistent = Inconsistent(eroded, 1000000);
  visit("inconsistent: a million labels at random", inconsistent);
  for (size_t e = 0; e < inconsistent.positive.size(); ++e) {
    inconsistent.positive[e] = static_cast<uint8_t>(static_cast<uint32_t>(e * 2654435761U) >> 31);
  }
  visit("inconsistent: and half of the edges positive", inconsistent);
  MalisVolume masked = volume(eroded, Prediction::kHalfTrained);
  masked.known.resize(masked.positive.size());
  for (size_t e = 0; e < masked.known.size(); ++e) {
    masked.known[e] = static_cast<uint32_t>(e * 2654435761U) >> 29 != 0 ? 1 : 0;
  }
  visit("a mask that leaves out an eighth", masked);
  MalisVolume beyond = volume(eroded, Prediction::kHalfTrained);
  for (float& a : beyond.affinity) a = 3.0F * a - 1.0F;
  visit("affinities beyond 0 and 1", beyond);
}

}  // namespace lossd
