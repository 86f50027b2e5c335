#ifndef LOSSD_MALIS_FLAT_FOREST_H_
#define LOSSD_MALIS_FLAT_FOREST_H_

#include <cstdint>

#include "lossd/base/vectorized.h"
#include "lossd/malis/flat/atomics.h"

// Disjoint sets of 0, 1, … as a flat array of links, each to an element of the same set that is
// nearer to the root; a root's link is itself.
namespace lossd::flat {

// The root of v's set. Halves the path on its way: others may do so, and join sets, meanwhile.
LOSSD_VECTORIZED uint32_t Root(uint32_t* link, uint32_t v) {
  for (;;) {
    const uint32_t up = Load(link + v);
    const uint32_t above = Load(link + up);
    if (above == up) return up;
    Store(link + v, above);
    v = above;
  }
}

// An element above v, where it is near the root even it.
LOSSD_VECTORIZED uint32_t Above(uint32_t* link, uint32_t v) {
  for (int step = 0; step < 8; ++step) {
    const uint32_t up = Peek(link + v);
    if (up == v) break;
    v = up;
  }
  return v;
}

// Joins the sets of a and b. The smaller root stays one, so that roots are the first elements of
// their sets, whoever comes first.
LOSSD_VECTORIZED void Unite(uint32_t* link, uint32_t a, uint32_t b) {
  // Most are of one set already, and many threads look at its root.
  a = Above(link, a);
  b = Above(link, b);
  while (a != b) {
    a = Root(link, a);
    b = Root(link, b);
    if (a == b) return;
    const uint32_t first = a < b ? a : b;
    const uint32_t second = a < b ? b : a;
    if (Replace(link + second, second, first)) return;
  }
}

// Links every element to its root, and calls with_root(v, root) for it. Each of a few loops takes
// every element many links up, or more where others are quicker: a single loop to the root would
// take as many steps as the longest path has, which may be all elements.
template <typename Loops, typename WithRoot>
void Flatten(Loops& loops, uint32_t size, uint32_t* link, WithRoot with_root) {
  constexpr uint32_t kSteps = 256;
  const auto up = [=] LOSSD_LAMBDA(uint32_t v) {
    uint32_t above = Peek(link + v);
    for (uint32_t step = 0; step < kSteps; ++step) {
      const uint32_t next = Peek(link + above);
      if (next == above) break;
      above = next;
    }
    return above;
  };
  uint64_t longest = size;  // Path that may be left.
  for (; longest > kSteps; longest = (longest + kSteps - 1) / kSteps) {
    loops.For(size, [=] LOSSD_LAMBDA(uint32_t v) { Store(link + v, up(v)); });
  }
  loops.For(size, [=] LOSSD_LAMBDA(uint32_t v) {
    const uint32_t root = up(v);
    Store(link + v, root);
    with_root(v, root);
  });
}

template <typename Loops>
void Flatten(Loops& loops, uint32_t size, uint32_t* link) {
  Flatten(loops, size, link, [=] LOSSD_LAMBDA(uint32_t, uint32_t) {});
}

}  // namespace lossd::flat

#endif  // LOSSD_MALIS_FLAT_FOREST_H_
