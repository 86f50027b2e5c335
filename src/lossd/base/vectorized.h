#ifndef LOSSD_BASE_VECTORIZED_H_
#define LOSSD_BASE_VECTORIZED_H_

// What loops over elements are made of, on processors and on GPUs: inlined into whatever its caller
// is compiled for, so that no object file holds a copy for other instruction sets than its own.
#ifdef __CUDACC__
#define LOSSD_VECTORIZED __host__ __device__ __forceinline__
#else
#define LOSSD_VECTORIZED [[gnu::always_inline]] inline
#endif

// The same for lambdas: [=] LOSSD_LAMBDA(uint32_t i) { … }.
#ifdef __CUDACC__
#define LOSSD_LAMBDA __host__ __device__
#else
#define LOSSD_LAMBDA
#endif

#endif  // LOSSD_BASE_VECTORIZED_H_
