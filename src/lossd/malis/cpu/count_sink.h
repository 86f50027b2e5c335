#ifndef LOSSD_MALIS_CPU_COUNT_SINK_H_
#define LOSSD_MALIS_CPU_COUNT_SINK_H_

#include <atomic>
#include <cstdint>

#include "lossd/malis/malis.h"

namespace lossd {

// Where the counts of one pass go. Each edge is counted at most once, so threads may share it.
class CountSink {
 public:
  // Counts as integers or as floats, one of them null, at the edges' indices. `all_count`: no edge
  // needs to be asked whether it is known and of the pass's class.
  CountSink(const MalisSample& sample, MalisPass pass, bool all_count, uint64_t* integers,
            float* floats)
      : positive_edges_(sample.positive.data()),
        known_edges_(sample.known.empty() ? nullptr : sample.known.data()),
        positive_(pass == MalisPass::kPositive),
        all_count_(all_count),
        integers_(integers),
        floats_(floats) {}

  // Stores the count of an edge, if it counts. Returns what it adds to the sum: hand that to
  // AddSum, a few at a time.
  uint64_t Store(uint32_t edge, uint64_t count) {
    if (!all_count_ && !Counts(edge)) return 0;
    if (floats_ != nullptr) {
      floats_[edge] = static_cast<float>(count);
    } else {
      integers_[edge] = count;
    }
    return count;
  }

  void AddSum(uint64_t sum) { sum_.fetch_add(sum, std::memory_order_relaxed); }
  uint64_t sum() const { return sum_.load(std::memory_order_relaxed); }

 private:
  bool Counts(uint32_t edge) const {
    return (positive_edges_[edge] != 0) == positive_ &&
           (known_edges_ == nullptr || known_edges_[edge] != 0);
  }

  const uint8_t* positive_edges_;
  const uint8_t* known_edges_;
  bool positive_;
  bool all_count_;
  uint64_t* integers_;
  float* floats_;
  std::atomic<uint64_t> sum_ = 0;
};

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_COUNT_SINK_H_
