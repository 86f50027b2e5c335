#ifndef LOSSD_MAXIMIN_RADIX_SORT_H_
#define LOSSD_MAXIMIN_RADIX_SORT_H_

#include <algorithm>
#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <utility>

namespace lossd {

// Sorts items[0, size) by ascending digits(item), a uint32_t, stably, least significant digit
// first. `scratch` holds as many. Returns where the result lies: `items` or `scratch`. Only the
// bits in which the items differ cost time.
template <typename Item, typename Digits>
Item* RadixSort(Item* items, Item* scratch, size_t size, const Digits& digits) {
  constexpr int kMaxBits = 11;
  if (size < 2) return items;
  uint32_t lowest = digits(items[0]);
  uint32_t highest = lowest;
  for (size_t i = 1; i < size; ++i) {
    lowest = std::min(lowest, digits(items[i]));
    highest = std::max(highest, digits(items[i]));
  }
  const int bits = std::bit_width(highest - lowest);
  const int passes = (bits + kMaxBits - 1) / kMaxBits;
  for (int pass = 0; pass < passes; ++pass) {
    const int shift = bits * pass / passes;
    const int width = bits * (pass + 1) / passes - shift;
    const uint32_t mask = (1U << width) - 1;
    std::array<uint32_t, 1U << kMaxBits> starts;
    std::fill_n(starts.begin(), size_t{1} << width, 0U);
    for (size_t i = 0; i < size; ++i) ++starts[((digits(items[i]) - lowest) >> shift) & mask];
    uint32_t start = 0;
    for (uint32_t digit = 0; digit <= mask; ++digit) {
      start += std::exchange(starts[digit], start);
    }
    for (size_t i = 0; i < size; ++i) {
      scratch[starts[((digits(items[i]) - lowest) >> shift) & mask]++] = items[i];
    }
    std::swap(items, scratch);
  }
  return items;
}

}  // namespace lossd

#endif  // LOSSD_MAXIMIN_RADIX_SORT_H_
