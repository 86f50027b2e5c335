#ifndef LOSSD_MALIS_FLAT_LOOPS_CHECKS_H_
#define LOSSD_MALIS_FLAT_LOOPS_CHECKS_H_

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <random>
#include <utility>
#include <vector>

#include "lossd/base/vectorized.h"
#include "lossd/malis/flat/atomics.h"
#include "lossd/malis/flat/forest.h"
#include "lossd/malis/flat/loops.h"

// What tests of each form of loops expect of it.
namespace lossd::flat {

// Nothing, one, and numbers of ranges, blocks and tiles that are not whole.
inline constexpr uint32_t kSizes[] = {0, 1, 7, 64, 1000, 5003};

inline std::vector<uint64_t> RandomNumbers(size_t size, uint64_t end) {
  std::mt19937_64 random(size);
  std::vector<uint64_t> numbers(size);
  for (uint64_t& x : numbers) x = random() % end;
  return numbers;
}

template <typename T, typename Loops>
Array<T> Uploaded(Loops& loops, const std::vector<T>& values) {
  Array<T> array(loops.memory(), values.size());
  loops.Upload(values.data(), values.size(), array.data());
  return array;
}

template <typename T, typename Loops>
std::vector<T> Fetched(Loops& loops, const Array<T>& array) {
  std::vector<T> values(array.size());
  for (size_t i = 0; i < values.size(); ++i) values[i] = loops.Fetch(array.data() + i);
  return values;
}

template <typename Loops>
void CheckFor(Loops& loops) {
  for (const uint32_t n : kSizes) {
    const Array<uint32_t> counts = Uploaded(loops, std::vector<uint32_t>(n, 0));
    uint32_t* const count = counts.data();
    loops.For(n, [=] LOSSD_LAMBDA(uint32_t i) { Add(count + i, i + 1); });
    std::vector<uint32_t> expected(n);
    std::iota(expected.begin(), expected.end(), 1U);
    EXPECT_EQ(Fetched(loops, counts), expected);
  }
}

// All indices at few places.
template <typename Loops>
void CheckAtomics(Loops& loops) {
  constexpr uint32_t kCount = 5003;
  const std::vector<uint64_t> numbers = RandomNumbers(kCount, ~uint64_t{0});
  const Array<uint64_t> uploaded = Uploaded(loops, numbers);
  const Array<uint64_t> wide = Uploaded(loops, std::vector<uint64_t>{~uint64_t{0}, 0});
  const Array<uint32_t> narrow = Uploaded(loops, std::vector<uint32_t>{0, 77, 0, 0, 0});
  const uint64_t* const number = uploaded.data();
  uint64_t* const least_and_sum = wide.data();
  uint32_t* const replacements = narrow.data();
  uint32_t* const few = replacements + 2;
  loops.For(kCount, [=] LOSSD_LAMBDA(uint32_t i) {
    Min(least_and_sum, number[i]);
    Add(least_and_sum + 1, number[i]);
    if (Replace(replacements + 1, 77, i + 100)) Add(replacements, 1U);
    if (i % 5 != 0) AddToFew(few + i / 7 % 3, i);
  });
  const std::vector<uint64_t> found = Fetched(loops, wide);
  EXPECT_EQ(found[0], *std::min_element(numbers.begin(), numbers.end()));
  EXPECT_EQ(found[1], std::accumulate(numbers.begin(), numbers.end(), uint64_t{0}));
  const std::vector<uint32_t> counted = Fetched(loops, narrow);
  EXPECT_EQ(counted[0], 1U);
  std::vector<uint32_t> sums(3);
  for (uint32_t i = 0; i < kCount; ++i) sums[i / 7 % 3] += i % 5 == 0 ? 0 : i;
  EXPECT_EQ(std::vector<uint32_t>(counted.begin() + 2, counted.end()), sums);
}

// Joins in any order make sets whose roots are their first elements.
template <typename Loops>
void CheckForest(Loops& loops) {
  constexpr uint32_t kCount = 3001;
  for (const uint32_t joins : {kCount / 3, kCount, 10 * kCount}) {
    const std::vector<uint64_t> ends = RandomNumbers(size_t{2} * joins, kCount);
    std::vector<uint32_t> links(kCount);
    std::iota(links.begin(), links.end(), 0U);
    const Array<uint64_t> uploaded = Uploaded(loops, ends);
    const Array<uint32_t> forest = Uploaded(loops, links);
    const uint64_t* const end = uploaded.data();
    uint32_t* const link = forest.data();
    loops.For(joins, [=] LOSSD_LAMBDA(uint32_t i) {
      Unite(link, static_cast<uint32_t>(end[2 * i]), static_cast<uint32_t>(end[2 * i + 1]));
    });
    Flatten(loops, kCount, link);
    // One after the other, without shortcuts.
    const auto root = [&](uint32_t v) {
      while (links[v] != v) v = links[v];
      return v;
    };
    for (uint32_t i = 0; i < joins; ++i) {
      const uint32_t a = root(static_cast<uint32_t>(ends[2 * i]));
      const uint32_t b = root(static_cast<uint32_t>(ends[2 * i + 1]));
      links[std::max(a, b)] = std::min(a, b);
    }
    for (uint32_t& l : links) l = root(l);
    EXPECT_EQ(Fetched(loops, forest), links);
  }
}

// One long path, as Borůvka's rounds make it of a ramp, up and down: of as many loops as have paths
// of this length need.
template <typename Loops>
void CheckFlatten(Loops& loops) {
  for (const uint32_t n : {1U, 256U, 257U, 65536U, 65537U, 1U << 20}) {
    for (const bool up : {false, true}) {
      std::vector<uint32_t> links(n);
      for (uint32_t i = 0; i < n; ++i) links[i] = up ? std::min(i + 1, n - 1) : i - (i > 0 ? 1 : 0);
      const uint32_t expected = up ? n - 1 : 0;
      const Array<uint32_t> forest = Uploaded(loops, links);
      const Array<uint32_t> counts = Uploaded(loops, std::vector<uint32_t>{0, 0});
      uint32_t* const link = forest.data();
      uint32_t* const count = counts.data();
      Flatten(loops, n, link, [=] LOSSD_LAMBDA(uint32_t, uint32_t root) {
        if (root == expected) AddToFew(count, 1);
      });
      loops.For(n, [=] LOSSD_LAMBDA(uint32_t i) {
        if (link[i] == expected) AddToFew(count + 1, 1);
      });
      EXPECT_EQ(loops.FetchTwo(count), (std::array{n, n})) << up;
    }
  }
}

template <typename Loops>
void CheckScan(Loops& loops) {
  for (const uint32_t n : kSizes) {
    Array<uint32_t> sums(loops.memory(), size_t{n} + 1);
    uint32_t* const sum = sums.data();
    std::vector<uint32_t> expected(size_t{n} + 1);
    for (uint32_t i = 0; i < n; ++i) expected[i + 1] = expected[i] + i % 5;
    loops.For(n, [=] LOSSD_LAMBDA(uint32_t i) { sum[i] = i % 5; });
    loops.Scan(n, sum);
    EXPECT_EQ(Fetched(loops, sums), expected);
  }
}

template <typename Loops>
void CheckSelect(Loops& loops) {
  for (const uint32_t n : kSizes) {
    Array<uint64_t> selected(loops.memory(), n);
    std::vector<uint64_t> expected;
    for (uint32_t i = 0; i < n; ++i) {
      if (i % 7 < 3) expected.push_back(uint64_t{i} << 33);
    }
    const Array<uint32_t> counts = Uploaded(loops, std::vector<uint32_t>{77, 78});
    loops.Select(
        n, [=] LOSSD_LAMBDA(uint32_t i) { return i % 7 < 3; },
        [=] LOSSD_LAMBDA(uint32_t i) { return uint64_t{i} << 33; }, selected.data(), counts.data());
    EXPECT_EQ(loops.FetchTwo(counts.data()), (std::array{uint32_t(expected.size()), 78U}));
    selected.Shrink(expected.size());
    EXPECT_EQ(Fetched(loops, selected), expected);
  }
}

template <typename Key, typename Loops>
void CheckSort(Loops& loops, int bits) {
  for (const uint32_t n : kSizes) {
    std::vector<Key> keys(n);
    const std::vector<uint64_t> numbers = RandomNumbers(n, uint64_t{1} << bits);
    std::transform(numbers.begin(), numbers.end(), keys.begin(),
                   [](uint64_t x) { return static_cast<Key>(x); });
    std::vector<uint32_t> values(n);
    std::iota(values.begin(), values.end(), 0U);
    Array<Key> sorted = Uploaded(loops, keys);
    Array<uint32_t> carried = Uploaded(loops, values);
    loops.SortPairs(bits, sorted, carried);
    std::stable_sort(values.begin(), values.end(),
                     [&](uint32_t a, uint32_t b) { return keys[a] < keys[b]; });
    EXPECT_EQ(Fetched(loops, carried), values);
    std::vector<Key> expected = keys;
    std::sort(expected.begin(), expected.end());
    EXPECT_EQ(Fetched(loops, sorted), expected);
    Array<Key> alone = Uploaded(loops, keys);
    loops.SortKeys(bits, alone);
    EXPECT_EQ(Fetched(loops, alone), expected);
  }
}

template <typename Loops>
void CheckSorts(Loops& loops) {
  CheckSort<uint32_t>(loops, 0);
  CheckSort<uint32_t>(loops, 3);
  CheckSort<uint32_t>(loops, 32);
  CheckSort<uint64_t>(loops, 41);
  CheckSort<uint64_t>(loops, 63);
}

// What they do is nothing, once they have stopped.
template <typename Loops>
void CheckStopped(Loops& stopped, Loops& running) {
  const Array<uint32_t> values = Uploaded(running, std::vector<uint32_t>{5, 6});
  uint32_t* const value = values.data();
  EXPECT_TRUE(stopped.Stopped());
  stopped.For(2, [=] LOSSD_LAMBDA(uint32_t i) { value[i] = 0; });
  const auto keep = [=] LOSSD_LAMBDA(uint32_t) { return true; };
  const auto make = [=] LOSSD_LAMBDA(uint32_t) { return 7U; };
  stopped.Select(2, keep, make, value, value + 1);
  stopped.Scan(1, value);
  EXPECT_EQ(stopped.Fetch(value), 0U);
  EXPECT_EQ(stopped.FetchTwo(value), (std::array{0U, 0U}));
  EXPECT_EQ(Fetched(running, values), (std::vector<uint32_t>{5, 6}));
}

}  // namespace lossd::flat

#endif  // LOSSD_MALIS_FLAT_LOOPS_CHECKS_H_
