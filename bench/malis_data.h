#ifndef BENCH_MALIS_DATA_H_
#define BENCH_MALIS_DATA_H_

#include <cstdint>
#include <functional>
#include <vector>

#include "absl/strings/string_view.h"
#include "lossd/malis/grid.h"
#include "lossd/malis/malis.h"

namespace lossd {

struct Segmentation {
  GridShape shape;
  std::vector<uint32_t> labels;
};

inline GridShape Cube(int64_t side) { return {.z = side, .y = side, .x = side}; }

// A dense segmentation that looks like brain: thin winding neurites around one big soma.
Segmentation SyntheticNeurites(const GridShape& shape, uint32_t seed);

Segmentation Crop(const Segmentation& from, const GridShape& origin, const GridShape& shape);

// Makes background of the voxels that touch another object: what training does, so that touching
// objects are apart.
Segmentation Erode(const Segmentation& segmentation);

// Predictions, relative to the true affinities.
enum class Prediction {
  kHalfTrained,   // Blurred truth with smooth and white noise, through a sigmoid.
  kHalfFloat,     // The same, rounded to 11 bits: ties.
  kSaturated,     // Half-trained logits times 40: mostly exactly 0 or 1.
  kConstant,      // 0.5 everywhere.
  kCheckerboard,  // 0.3 and 0.7 alternating along every axis.
};

// A sample of MALIS that owns its data.
struct MalisVolume {
  GridShape shape;
  std::vector<Offset> neighborhood;
  std::vector<float> affinity;
  std::vector<uint8_t> positive;
  std::vector<uint32_t> labels;
  std::vector<uint8_t> known = {};  // Empty: all.

  MalisSample Sample() const {
    return {.shape = shape,
            .neighborhood = neighborhood,
            .affinity = affinity,
            .positive = positive,
            .known = known,
            .labels = labels};
  }
};

// The three nearest neighbours, and with nine long-range offsets more.
std::vector<Offset> NearestNeighborhood();
std::vector<Offset> LongRangeNeighborhood();

MalisVolume MakeVolume(const Segmentation& segmentation, const std::vector<Offset>& neighborhood,
                       Prediction prediction, uint32_t seed);

// Labels at random, which have nothing to do with the affinities.
MalisVolume Inconsistent(const Segmentation& segmentation, uint32_t labels);

// Calls visit(name, volume) for inputs of all kinds, typical ones and others, made of one crop.
void ForEachInput(const Segmentation& crop,
                  const std::function<void(absl::string_view, const MalisVolume&)>& visit);

}  // namespace lossd

#endif  // BENCH_MALIS_DATA_H_
