#ifndef LOSSD_MALIS_FLAT_ATOMICS_H_
#define LOSSD_MALIS_FLAT_ATOMICS_H_

#ifdef __CUDACC__
#include <cuda/atomic>
#else
#include <atomic>
#endif
#include <cstdint>

#include "lossd/base/vectorized.h"

// What bodies of loops do to places that others of the same loop touch, too. All of it is relaxed:
// only the ends of loops order anything.
namespace lossd::flat {

#ifdef __CUDACC__
template <typename T>
using AtomicRef = cuda::atomic_ref<T, cuda::thread_scope_device>;
inline constexpr auto kRelaxed = cuda::memory_order_relaxed;
#else
template <typename T>
using AtomicRef = std::atomic_ref<T>;
inline constexpr auto kRelaxed = std::memory_order_relaxed;
#endif

template <typename T>
LOSSD_VECTORIZED T Load(T* place) {
  return AtomicRef<T>(*place).load(kRelaxed);
}

// A value that was there at some time since the loop began: from a GPU's nearest cache, where many
// threads may read one place at once.
template <typename T>
LOSSD_VECTORIZED T Peek(T* place) {
#ifdef __CUDA_ARCH__
  return *place;
#else
  return Load(place);
#endif
}

template <typename T>
LOSSD_VECTORIZED void Store(T* place, T value) {
  AtomicRef<T>(*place).store(value, kRelaxed);
}

template <typename T>
LOSSD_VECTORIZED void Add(T* place, T value) {
  AtomicRef<T>(*place).fetch_add(value, kRelaxed);
}

// The same where neighbouring indices often add to one place: a GPU's warp then does so once.
LOSSD_VECTORIZED void AddToFew(uint32_t* place, uint32_t value) {
#ifdef __CUDA_ARCH__
  const unsigned same = __match_any_sync(__activemask(), reinterpret_cast<uint64_t>(place));
  const unsigned sum = __reduce_add_sync(same, value);
  const unsigned lane = threadIdx.x % 32;
  if (lane == __ffs(same) - 1) Add(place, sum);
#else
  Add(place, value);
#endif
}

// Reads first: most values come too late to be the least.
LOSSD_VECTORIZED void Min(uint64_t* place, uint64_t value) {
  if (Peek(place) <= value) return;
  AtomicRef<uint64_t> least(*place);
  uint64_t now = least.load(kRelaxed);
#ifdef __CUDACC__
  if (value < now) least.fetch_min(value, kRelaxed);
#else
  while (value < now && !least.compare_exchange_weak(now, value, kRelaxed)) {
  }
#endif
}

// Puts `value` where `expected` is. Whether it was there.
LOSSD_VECTORIZED bool Replace(uint32_t* place, uint32_t expected, uint32_t value) {
  return AtomicRef<uint32_t>(*place).compare_exchange_strong(expected, value, kRelaxed);
}

}  // namespace lossd::flat

#endif  // LOSSD_MALIS_FLAT_ATOMICS_H_
