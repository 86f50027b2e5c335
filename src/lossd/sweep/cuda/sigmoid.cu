#include "lossd/sweep/cuda/sigmoid.h"
#include "lossd/sweep/vector_math.h"

// Compiled without contraction to fused multiply-adds, as sweep/cpu/sigmoid.cc is: what is left are
// single operations, which IEEE 754 rounds alike on processors and GPUs.
namespace lossd {
namespace {

__global__ void TakeSigmoids(const float* elements, int64_t size, float* out) {
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < size) out[i] = Sigmoid(elements[i]);
}

}  // namespace

cudaError_t SigmoidOnDevice(const float* elements, int64_t size, float* out, cudaStream_t stream) {
  if (size == 0) return cudaSuccess;
  constexpr int64_t kBlock = 256;
  const auto blocks = static_cast<uint32_t>((size - 1) / kBlock + 1);
  TakeSigmoids<<<blocks, kBlock, 0, stream>>>(elements, size, out);
  return cudaGetLastError();
}

}  // namespace lossd
