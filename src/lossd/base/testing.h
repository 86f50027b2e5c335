#ifndef LOSSD_BASE_TESTING_H_
#define LOSSD_BASE_TESTING_H_

#include <atomic>
#include <bit>
#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "absl/status/status.h"
#include "lossd/base/cancellation.h"
#include "lossd/base/instruction_sets.h"

// What tests of several rooms need.
namespace lossd {

// Those that can run here, the baseline first.
inline std::vector<InstructionSet> RunnableInstructionSets() {
  std::vector<InstructionSet> sets;
  for (const InstructionSet set :
       {InstructionSet::kBaseline, InstructionSet::kAvx2, InstructionSet::kAvx512}) {
    if (set <= CurrentInstructionSet()) sets.push_back(set);
  }
  return sets;
}

// A million floats, of every sign and exponent: mantissas of all sorts, as the step is a prime.
inline std::vector<float> SampleOfAllFloats() {
  constexpr uint64_t kStep = 4093;
  std::vector<float> floats;
  for (uint64_t bits = 0; bits < uint64_t{1} << 32; bits += kStep) {
    floats.push_back(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  }
  return floats;
}

// All NaN are the same.
inline std::vector<uint32_t> BitsOfNumbers(const std::vector<float>& numbers) {
  std::vector<uint32_t> bits;
  for (const float x : numbers) bits.push_back(std::isnan(x) ? ~0U : std::bit_cast<uint32_t>(x));
  return bits;
}

// For tests of what computations do when they are cancelled: fires when it is asked for the n-th
// time: walks a test through all places that ask.
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
