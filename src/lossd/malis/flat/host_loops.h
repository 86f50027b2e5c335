#ifndef LOSSD_MALIS_FLAT_HOST_LOOPS_H_
#define LOSSD_MALIS_FLAT_HOST_LOOPS_H_

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <numeric>
#include <utility>
#include <vector>

#include "lossd/base/context.h"
#include "lossd/base/workspace.h"
#include "lossd/malis/flat/loops.h"

namespace lossd::flat {

// Arrays in a workspace.
class WorkspaceMemory final : public ScratchMemory {
 public:
  explicit WorkspaceMemory(Workspace& workspace) : workspace_(workspace) {}

  void* Take(size_t bytes) override {
    Workspace::Buffer<std::byte> buffer(workspace_, bytes);
    void* const memory = buffer.data();
    taken_.emplace(memory, std::move(buffer));
    return memory;
  }
  void Give(void* memory, size_t /*bytes*/) noexcept override { taken_.erase(memory); }

 private:
  Workspace& workspace_;
  std::map<void*, Workspace::Buffer<std::byte>> taken_;
};

// The loops of loops.h on a context's threads, until it is cancelled. They prove the algorithm
// where there is no GPU: their threads meet as a device's do, and ThreadSanitizer sees them.
class HostLoops {
 public:
  // A task takes `grain` >= 1 indices at a time.
  HostLoops(const Context& context, ScratchMemory& memory, int64_t grain = 1 << 14)
      : context_(context), memory_(memory), grain_(grain) {}

  ScratchMemory& memory() const { return memory_; }
  bool Stopped() const { return context_.Cancelled(); }

  template <typename Body>
  void For(uint32_t n, const Body& body) {
    ForRanges(n, [&](size_t /*range*/, uint32_t begin, uint32_t end) {
      for (uint32_t i = begin; i < end; ++i) body(i);
    });
  }

  void Scan(uint32_t n, uint32_t* sums) {
    std::vector<uint32_t> of_range(Ranges(n) + 1);
    ForRanges(n, [&](size_t range, uint32_t begin, uint32_t end) {
      of_range[range] = std::accumulate(sums + begin, sums + end, uint32_t{0});
    });
    const uint32_t all = SumUp(of_range);
    ForRanges(n, [&](size_t range, uint32_t begin, uint32_t end) {
      uint32_t sum = of_range[range];
      for (uint32_t i = begin; i < end; ++i) sum += std::exchange(sums[i], sum);
    });
    if (!Stopped()) sums[n] = all;
  }

  template <typename Keep, typename Make, typename T>
  void Select(uint32_t n, const Keep& keep, const Make& make, T* out, uint32_t* count) {
    std::vector<uint32_t> of_range(Ranges(n) + 1);
    ForRanges(n, [&](size_t range, uint32_t begin, uint32_t end) {
      uint32_t kept = 0;
      for (uint32_t i = begin; i < end; ++i) kept += keep(i) ? 1 : 0;
      of_range[range] = kept;
    });
    if (!Stopped()) *count = SumUp(of_range);
    ForRanges(n, [&](size_t range, uint32_t begin, uint32_t end) {
      T* next = out + of_range[range];
      for (uint32_t i = begin; i < end; ++i) {
        if (keep(i)) *next++ = make(i);
      }
    });
  }

  template <typename Key>
  void SortKeys(int bits, Array<Key>& keys) {
    Array<Key> spare(memory_, keys.size());
    for (int shift = 0; shift < bits; shift += kDigitBits) {
      Key* const from = keys.data();
      Key* const to = spare.data();
      ForPlaces(keys, shift, [=](uint32_t i, uint32_t place) { to[place] = from[i]; });
      std::swap(keys, spare);
    }
  }

  template <typename Key>
  void SortPairs(int bits, Array<Key>& keys, Array<uint32_t>& values) {
    Array<Key> spare_keys(memory_, keys.size());
    Array<uint32_t> spare_values(memory_, keys.size());
    for (int shift = 0; shift < bits; shift += kDigitBits) {
      const Key* const key = keys.data();
      const uint32_t* const value = values.data();
      Key* const to_key = spare_keys.data();
      uint32_t* const to_value = spare_values.data();
      ForPlaces(keys, shift, [=](uint32_t i, uint32_t place) {
        to_key[place] = key[i];
        to_value[place] = value[i];
      });
      std::swap(keys, spare_keys);
      std::swap(values, spare_values);
    }
  }

  template <typename T>
  void Upload(const T* values, size_t n, T* place) {
    if (n > 0) std::memcpy(place, values, n * sizeof(T));
  }

  template <typename T>
  T Fetch(const T* place) {
    return Stopped() ? T{} : *place;
  }

  template <typename T>
  std::array<T, 2> FetchTwo(const T* place) {
    return Stopped() ? std::array<T, 2>{} : std::array{place[0], place[1]};
  }

 private:
  static constexpr int kDigitBits = 8;
  static constexpr size_t kDigits = size_t{1} << kDigitBits;

  size_t Ranges(uint32_t n) const { return (n + grain_ - 1) / grain_; }

  // Calls body(range, begin, end) for ranges of `grain` indices; the last may be shorter.
  template <typename Body>
  void ForRanges(uint32_t n, const Body& body) {
    context_.ParallelFor(n, grain_, [&](int64_t begin, int64_t end) {
      body(static_cast<size_t>(begin / grain_), static_cast<uint32_t>(begin),
           static_cast<uint32_t>(end));
    });
  }

  // Makes of each count the sum of those before it; returns the sum of all.
  static uint32_t SumUp(std::vector<uint32_t>& counts) {
    uint32_t sum = 0;
    for (uint32_t& count : counts) sum += std::exchange(count, sum);
    return sum;
  }

  // Calls put(i, place) for each key: its place in the stable order of the digit at `shift`.
  template <typename Key, typename Put>
  void ForPlaces(const Array<Key>& keys, int shift, const Put& put) {
    const auto n = static_cast<uint32_t>(keys.size());
    const Key* const key = keys.data();
    const auto digit = [=](uint32_t i) {
      return static_cast<size_t>(key[i] >> shift) & (kDigits - 1);
    };
    std::vector<std::array<uint32_t, kDigits>> places(Ranges(n));
    ForRanges(n, [&](size_t range, uint32_t begin, uint32_t end) {
      for (uint32_t i = begin; i < end; ++i) ++places[range][digit(i)];
    });
    uint32_t sum = 0;
    for (size_t d = 0; d < kDigits; ++d) {
      for (std::array<uint32_t, kDigits>& of_range : places) sum += std::exchange(of_range[d], sum);
    }
    ForRanges(n, [&](size_t range, uint32_t begin, uint32_t end) {
      for (uint32_t i = begin; i < end; ++i) put(i, places[range][digit(i)]++);
    });
  }

  const Context context_;
  ScratchMemory& memory_;
  const int64_t grain_;
};

}  // namespace lossd::flat

#endif  // LOSSD_MALIS_FLAT_HOST_LOOPS_H_
