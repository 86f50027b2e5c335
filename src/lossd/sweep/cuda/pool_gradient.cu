#include "lossd/sweep/cuda/pool_gradient.h"

namespace lossd {
namespace {

__global__ void SumChosen(PoolShape shape, const float* gradient, const int64_t* chosen,
                          float* sums) {
  const int64_t volume = shape.sizes[0] * shape.sizes[1] * shape.sizes[2];
  const int64_t i = int64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i >= shape.volumes * volume) return;
  const int64_t place = i % volume;
  const int64_t at[3] = {place / shape.sizes[2] / shape.sizes[1],
                         place / shape.sizes[2] % shape.sizes[1], place % shape.sizes[2]};
  int64_t begin[3];
  int64_t end[3];
  for (int d = 0; d < 3; ++d) {
    begin[d] = max(at[d] - shape.reach[d], int64_t{0});
    end[d] = min(at[d] + shape.reach[d] + 1, shape.sizes[d]);
  }
  float sum = 0;
  for (int64_t z = begin[0]; z < end[0]; ++z) {
    for (int64_t y = begin[1]; y < end[1]; ++y) {
      const int64_t row = i - place + (z * shape.sizes[1] + y) * shape.sizes[2];
      for (int64_t x = begin[2]; x < end[2]; ++x) {
        if (chosen[row + x] == place) sum += gradient[row + x];
      }
    }
  }
  sums[i] = sum;
}

}  // namespace

cudaError_t PoolGradientOnDevice(const PoolShape& shape, const float* gradient,
                                 const int64_t* chosen, float* sums, cudaStream_t stream) {
  const int64_t size = shape.volumes * shape.sizes[0] * shape.sizes[1] * shape.sizes[2];
  if (size == 0) return cudaSuccess;
  constexpr int64_t kBlock = 256;
  const auto blocks = static_cast<uint32_t>((size - 1) / kBlock + 1);
  SumChosen<<<blocks, kBlock, 0, stream>>>(shape, gradient, chosen, sums);
  return cudaGetLastError();
}

}  // namespace lossd
