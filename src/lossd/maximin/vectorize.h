#ifndef LOSSD_MAXIMIN_VECTORIZE_H_
#define LOSSD_MAXIMIN_VECTORIZE_H_

#include <cstdint>

// LOSSD_VECTORIZE before a function's definition compiles it for wider vectors too; which one runs
// is found out when the program starts. Not under sanitizers, which start after that.
#if defined(__x86_64__) && defined(__GNUC__) && !defined(__SANITIZE_ADDRESS__) && \
    !defined(__SANITIZE_THREAD__)
#define LOSSD_VECTORIZE __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define LOSSD_VECTORIZE
#endif

namespace lossd {

// How many keys are looked at together: one AVX2 register. (GCC takes wider vectors apart into
// single numbers where the processor has no such registers.)
inline constexpr int64_t kVectorKeys = 8;

}  // namespace lossd

#endif  // LOSSD_MAXIMIN_VECTORIZE_H_
