#ifndef LOSSD_MALIS_CPU_CONCURRENT_FOREST_H_
#define LOSSD_MALIS_CPU_CONCURRENT_FOREST_H_

#include <atomic>
#include <cstdint>
#include <utility>
#include <vector>

namespace lossd {

// Disjoint sets of 0, 1, … that many threads join at once. The root of a set is its first element,
// whoever comes first, so that the sets and their roots do not depend on threads (a
// compare-and-swap forest with path splitting: Jayanti and Tarjan, "A Randomized Concurrent
// Algorithm for Disjoint Set Union", PODC 2016).
class ConcurrentForest {
 public:
  // Of sets of one element.
  explicit ConcurrentForest(uint32_t size) : parents_(size) {
    for (uint32_t a = 0; a < size; ++a) parents_[a].store(a, std::memory_order_relaxed);
  }

  bool IsRoot(uint32_t a) const { return parents_[a].load(std::memory_order_relaxed) == a; }

  uint32_t Root(uint32_t a) {
    for (;;) {
      const uint32_t parent = parents_[a].load(std::memory_order_relaxed);
      const uint32_t above = parents_[parent].load(std::memory_order_relaxed);
      if (above == parent) return parent;
      // Whatever other threads do meanwhile, `above` stays an ancestor of a.
      parents_[a].store(above, std::memory_order_relaxed);
      a = parent;
    }
  }

  void Join(uint32_t a, uint32_t b) {
    for (;;) {
      a = Root(a);
      b = Root(b);
      if (a == b) return;
      if (a < b) std::swap(a, b);
      // Fails when another thread has joined a's set to one before it.
      uint32_t root = a;
      if (parents_[a].compare_exchange_weak(root, b, std::memory_order_relaxed)) return;
    }
  }

 private:
  std::vector<std::atomic<uint32_t>> parents_;
};

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_CONCURRENT_FOREST_H_
