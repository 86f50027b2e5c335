#ifndef LOSSD_SWEEP_CPU_ROWS_H_
#define LOSSD_SWEEP_CPU_ROWS_H_

#include <cstdint>

#include "lossd/base/vectorized.h"

// For sources that are compiled for each level, which do without the standard library's functions.
namespace lossd {

template <typename T>
LOSSD_VECTORIZED void Fill(T value, int64_t size, T* __restrict row) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) row[i] = value;
}

template <typename T>
LOSSD_VECTORIZED void Copy(const T* from, int64_t size, T* __restrict row) {
#pragma omp simd
  for (int64_t i = 0; i < size; ++i) row[i] = from[i];
}

}  // namespace lossd

#endif  // LOSSD_SWEEP_CPU_ROWS_H_
