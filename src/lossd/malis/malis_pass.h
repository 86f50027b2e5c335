#ifndef LOSSD_MALIS_MALIS_PASS_H_
#define LOSSD_MALIS_MALIS_PASS_H_

#include <cstdint>

namespace lossd {

// The two passes of MALIS: see lossd/malis/malis.h.
enum class MalisPass { kNegative, kPositive };

// How many pairs of voxels the edges count in each pass.
struct MalisPairs {
  uint64_t negative = 0;
  uint64_t positive = 0;

  MalisPairs& operator+=(const MalisPairs& others) {
    negative += others.negative;
    positive += others.positive;
    return *this;
  }
};

}  // namespace lossd

#endif  // LOSSD_MALIS_MALIS_PASS_H_
