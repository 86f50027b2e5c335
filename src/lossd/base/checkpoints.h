#ifndef LOSSD_BASE_CHECKPOINTS_H_
#define LOSSD_BASE_CHECKPOINTS_H_

#include <cstdint>

#include "lossd/base/context.h"

namespace lossd {

// Asks a context now and then whether the computation has been cancelled, for loops of one thread
// whose steps take too little time to ask at each.
class Checkpoints {
 public:
  explicit Checkpoints(const Context& context) : context_(context) {}

  // Whether to go on, after so many steps of at most some 100 ns each.
  bool Pass(int64_t steps) {
    done_ += steps;
    if (done_ < kSteps) return true;
    done_ = 0;
    return !context_.Cancelled();
  }

 private:
  // How many are too many to take without asking.
  static constexpr int64_t kSteps = 1 << 16;

  const Context& context_;
  int64_t done_ = 0;
};

}  // namespace lossd

#endif  // LOSSD_BASE_CHECKPOINTS_H_
