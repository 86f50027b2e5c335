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

// Joins the sets of a and b. The smaller root stays one, so that roots are the first elements of
// their sets, whoever comes first.
LOSSD_VECTORIZED void Unite(uint32_t* link, uint32_t a, uint32_t b) {
  for (;;) {
    a = Root(link, a);
    b = Root(link, b);
    if (a == b) return;
    const uint32_t first = a < b ? a : b;
    const uint32_t second = a < b ? b : a;
    if (Replace(link + second, second, first)) return;
  }
}

// Links every element to its root. In two loops: one that halves paths may put an element's
// grandparent where that element has just put its root. The second writes nothing but roots.
template <typename Loops>
void Flatten(Loops& loops, uint32_t size, uint32_t* link) {
  loops.For(size, [=] LOSSD_LAMBDA(uint32_t v) { Store(link + v, Root(link, v)); });
  loops.For(size, [=] LOSSD_LAMBDA(uint32_t v) {
    uint32_t root = Load(link + v);
    for (uint32_t up = Load(link + root); up != root; up = Load(link + root)) root = up;
    Store(link + v, root);
  });
}

}  // namespace lossd::flat

#endif  // LOSSD_MALIS_FLAT_FOREST_H_
