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
  constexpr int kMaxPasses = 3;
  if (size < 2) return items;
  uint32_t lowest = digits(items[0]);
  uint32_t highest = lowest;
  for (size_t i = 1; i < size; ++i) {
    lowest = std::min(lowest, digits(items[i]));
    highest = std::max(highest, digits(items[i]));
  }
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
  for (size_t i = 0; i < size; ++i) {
    for (int pass = 0; pass < passes; ++pass) ++places[pass][digit(items[i], pass)];
  }
  for (int pass = 0; pass < passes; ++pass) {
    uint32_t place = 0;
    for (uint32_t d = 0; d < 1U << (shift(pass + 1) - shift(pass)); ++d) {
      place += std::exchange(places[pass][d], place);
    }
    for (size_t i = 0; i < size; ++i) scratch[places[pass][digit(items[i], pass)]++] = items[i];
    std::swap(items, scratch);
  }
  return items;
}

}  // namespace lossd

#endif  // LOSSD_MAXIMIN_RADIX_SORT_H_
