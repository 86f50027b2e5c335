#include "lossd/losses/large_tensor.h"

#include <sys/mman.h>

#include <cstdlib>
#include <new>

namespace lossd {

at::Tensor EmptyFloats(at::IntArrayRef sizes) {
  constexpr size_t kHugePage = size_t{1} << 21;
  const size_t bytes = static_cast<size_t>(c10::multiply_integers(sizes)) * sizeof(float);
  if (bytes < 2 * kHugePage) return at::empty(sizes, at::kFloat);
  const size_t rounded = (bytes + kHugePage - 1) / kHugePage * kHugePage;
  void* const memory = std::aligned_alloc(kHugePage, rounded);
  if (memory == nullptr) throw std::bad_alloc();
  // Only advice: without huge pages the memory is as good.
  madvise(memory, rounded, MADV_HUGEPAGE);
  return at::from_blob(memory, sizes, &std::free, at::kFloat);
}

}  // namespace lossd
