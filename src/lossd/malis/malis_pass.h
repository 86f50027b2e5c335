#ifndef LOSSD_MALIS_MALIS_PASS_H_
#define LOSSD_MALIS_MALIS_PASS_H_

namespace lossd {

// The two passes of MALIS: see lossd/malis/malis.h.
enum class MalisPass { kNegative, kPositive };

}  // namespace lossd

#endif  // LOSSD_MALIS_MALIS_PASS_H_
