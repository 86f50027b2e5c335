#ifndef LOSSD_BASE_TESTING_H_
#define LOSSD_BASE_TESTING_H_

#include <atomic>
#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "lossd/base/cancellation.h"

// For tests of what computations do when they are cancelled.
namespace lossd {

// Fires when it is asked for the n-th time: walks a test through all places that ask.
class CancelledAtCheck : public Cancellation {
 public:
  // Without a number, it only counts.
  explicit CancelledAtCheck(int64_t check = std::numeric_limits<int64_t>::max()) : check_(check) {}

  bool Fired() const override {
    if (++checks_ >= check_) Fire(absl::CancelledError("cancelled by the test"));
    return Cancellation::Fired();
  }

  int64_t checks() const { return checks_; }

 private:
  const int64_t check_;
  mutable std::atomic<int64_t> checks_ = 0;
};

}  // namespace lossd

#endif  // LOSSD_BASE_TESTING_H_
