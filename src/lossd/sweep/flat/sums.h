#ifndef LOSSD_SWEEP_FLAT_SUMS_H_
#define LOSSD_SWEEP_FLAT_SUMS_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "lossd/base/vectorized.h"
#include "lossd/malis/flat/loops.h"

namespace lossd::flat {

// What is added up at a time. A sum goes by strands, each of numbers that lie so far apart that
// those who add them up at the same time read side by side.
inline constexpr uint32_t kStrand = 32;
inline uint32_t Strands(uint32_t size) { return size / kStrand + (size % kStrand == 0 ? 0 : 1); }

template <int kSums>
struct Sums {
  double of[kSums] = {};
};

// For each of so many groups, the sums of what term(group, i, sums) adds to them for i in [0,
// size); fewer than 2³¹ in all. Always in the same order, whoever adds. `sums`: [groups, kSums],
// overwritten; term is called once for each i.
template <int kSums, typename Loops, typename Term>
void SumGroups(Loops& loops, uint32_t groups, uint32_t size, const Term& term, double* sums) {
  uint32_t left = Strands(size);
  Array<Sums<kSums>> partial(loops.memory(), size_t{groups} * left);
  Sums<kSums>* const first = partial.data();
  loops.For(groups * left, [=] LOSSD_LAMBDA(uint32_t strand) {
    Sums<kSums> sum;
    for (uint32_t i = strand % left; i < size; i += left) term(strand / left, i, sum.of);
    first[strand] = sum;
  });
  while (left > 1) {
    const uint32_t before = left;
    left = Strands(before);
    Array<Sums<kSums>> fewer(loops.memory(), size_t{groups} * left);
    const Sums<kSums>* const from = partial.data();
    Sums<kSums>* const to = fewer.data();
    loops.For(groups * left, [=] LOSSD_LAMBDA(uint32_t strand) {
      const Sums<kSums>* const group = from + strand / left * before;
      Sums<kSums> sum;
      for (uint32_t i = strand % left; i < before; i += left) {
        for (int k = 0; k < kSums; ++k) sum.of[k] += group[i].of[k];
      }
      to[strand] = sum;
    });
    partial = std::move(fewer);
  }
  const Sums<kSums>* const all = partial.data();
  loops.For(groups, [=] LOSSD_LAMBDA(uint32_t group) {
    for (int k = 0; k < kSums; ++k) {
      sums[group * kSums + k] = left == 0 ? 0.0 : all[group].of[k];
    }
  });
}

}  // namespace lossd::flat

#endif  // LOSSD_SWEEP_FLAT_SUMS_H_
