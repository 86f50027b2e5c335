#ifndef TESTS_ORACLE_RANDOM_VOLUME_H_
#define TESTS_ORACLE_RANDOM_VOLUME_H_

#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <vector>

#include "lossd/malis/grid.h"
#include "lossd/malis/malis.h"

namespace lossd {

// A small volume made to be nasty: degenerate shapes; long, negative, diagonal, zero and repeated
// offsets; affinities at and beyond 0 and 1, with ties, all equal, infinite; truth that agrees with
// the labels or does not; huge labels, one label, none; masks.
class RandomVolume {
 public:
  explicit RandomVolume(uint32_t seed);

  MalisSample Sample() const {
    return {.shape = shape_,
            .neighborhood = neighborhood_,
            .affinity = affinity_,
            .positive = positive_,
            .known = known_,
            .labels = labels_};
  }

  // For messages of failed tests.
  std::string Describe() const;

 private:
  // Uniform in [0, bound).
  int Draw(int bound) { return static_cast<int>(random_() % static_cast<uint32_t>(bound)); }

  void DrawGrid();
  void DrawAffinities();
  void DrawTruth();

  std::mt19937 random_;
  GridShape shape_;
  std::vector<Offset> neighborhood_;
  size_t edges_ = 0;
  std::vector<float> affinity_;
  std::vector<uint8_t> positive_;
  std::vector<uint8_t> known_;
  std::vector<uint32_t> labels_;
};

}  // namespace lossd

#endif  // TESTS_ORACLE_RANDOM_VOLUME_H_
