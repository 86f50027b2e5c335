#ifndef LOSSD_MALIS_CPU_RADIX_SORT_H_
#define LOSSD_MALIS_CPU_RADIX_SORT_H_

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
//
// Asks go_on(steps) after every few steps; once that returns false, it returns with the items in
// any state.
template <typename Item, typename Digits, typename GoOn>
Item* RadixSort(Item* items, Item* scratch, size_t size, const Digits& digits, const GoOn& go_on) {
  constexpr int kMaxBits = 11;
  constexpr int kMaxPasses = 3;
  constexpr size_t kSteps = 1 << 16;
  if (size < 2) return items;
  // Calls body(item) for all of them, in order; whether to go on.
  const auto for_each = [&](const auto& body) {
    for (size_t begin = 0; begin < size; begin += kSteps) {
      const size_t end = std::min(size, begin + kSteps);
      for (size_t i = begin; i < end; ++i) body(items[i]);
      if (!go_on(end - begin)) return false;
    }
    return true;
  };
  uint32_t lowest = digits(items[0]);
  uint32_t highest = lowest;
  const bool looked = for_each([&](const Item& item) {
    lowest = std::min(lowest, digits(item));
    highest = std::max(highest, digits(item));
  });
  if (!looked) return items;
  const int bits = std::bit_width(highest - lowest);
  const int passes = (bits + kMaxBits - 1) / kMaxBits;
  const auto shift = [&](int pass) { return bits * pass / passes; };
  const auto digit = [&](const Item& item, int pass) {
    return ((digits(item) - lowest) >> shift(pass)) & ((1U << (shift(pass + 1) - shift(pass))) - 1);
  };
  // How often each digit occurs, for all passes at once; then where its items go.
  std::array<std::array<uint32_t, 1U << kMaxBits>, kMaxPasses> places;
  for (int pass = 0; pass < passes; ++pass) {
    std::fill_n(places[pass].begin(), size_t{1} << (shift(pass + 1) - shift(pass)), 0U);
  }
  const bool counted = for_each([&](const Item& item) {
    for (int pass = 0; pass < passes; ++pass) ++places[pass][digit(item, pass)];
  });
  if (!counted) return items;
  for (int pass = 0; pass < passes; ++pass) {
    uint32_t place = 0;
    for (uint32_t d = 0; d < 1U << (shift(pass + 1) - shift(pass)); ++d) {
      place += std::exchange(places[pass][d], place);
    }
    if (!for_each([&](const Item& item) { scratch[places[pass][digit(item, pass)]++] = item; })) {
      return items;
    }
    std::swap(items, scratch);
  }
  return items;
}

// The same, to its end.
template <typename Item, typename Digits>
Item* RadixSort(Item* items, Item* scratch, size_t size, const Digits& digits) {
  return RadixSort(items, scratch, size, digits, [](size_t /*steps*/) { return true; });
}

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_RADIX_SORT_H_
