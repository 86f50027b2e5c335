#ifndef LOSSD_MALIS_CUDA_DEVICE_LOOPS_CUH_
#define LOSSD_MALIS_CUDA_DEVICE_LOOPS_CUH_

#include <cuda_runtime_api.h>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/transform_iterator.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_scan.cuh>
#include <cub/device/device_select.cuh>

#include "lossd/malis/cuda/device.h"
#include "lossd/malis/flat/loops.h"

namespace lossd::flat {

template <typename Body>
__global__ void CallEach(uint32_t n, Body body) {
  const uint64_t i = uint64_t{blockIdx.x} * blockDim.x + threadIdx.x;
  if (i < n) body(static_cast<uint32_t>(i));
}

// The loops of loops.h in a stream of the current device. They stop at the first error.
class DeviceLoops {
 public:
  explicit DeviceLoops(const Device& device) : device_(device) {}

  ScratchMemory& memory() const { return device_.memory; }
  cudaError_t error() const { return error_; }
  bool Stopped() const {
    return error_ != cudaSuccess || (device_.cancelled && device_.cancelled());
  }

  template <typename Body>
  void For(uint32_t n, const Body& body) {
    if (n == 0 || Stopped()) return;
    constexpr uint32_t kBlock = 256;
    CallEach<<<(n - 1) / kBlock + 1, kBlock, 0, device_.stream>>>(n, body);
    Check(cudaGetLastError());
  }

  void Scan(uint32_t n, uint32_t* sums) {
    if (Stopped()) return;
    Check(cudaMemsetAsync(sums + n, 0, sizeof(*sums), device_.stream));
    WithScratch([&](void* scratch, size_t& bytes) {
      return cub::DeviceScan::ExclusiveSum(scratch, bytes, sums, sums, uint64_t{n} + 1,
                                           device_.stream);
    });
  }

  template <typename Keep, typename Make, typename T>
  void Select(uint32_t n, const Keep& keep, const Make& make, T* out, uint32_t* count) {
    if (Stopped()) return;
    const thrust::counting_iterator<uint32_t> indices(0);
    const auto made = thrust::make_transform_iterator(indices, make);
    WithScratch([&](void* scratch, size_t& bytes) {
      return cub::DeviceSelect::FlaggedIf(scratch, bytes, made, indices, out, count, int64_t{n},
                                          keep, device_.stream);
    });
  }

  template <typename Key>
  void SortKeys(int bits, Array<Key>& keys) {
    if (keys.size() == 0 || bits == 0 || Stopped()) return;
    Array<Key> spare(memory(), keys.size());
    cub::DoubleBuffer<Key> both(keys.data(), spare.data());
    WithScratch([&](void* scratch, size_t& bytes) {
      return cub::DeviceRadixSort::SortKeys(scratch, bytes, both, uint64_t{keys.size()}, 0, bits,
                                            device_.stream);
    });
    if (both.Current() != keys.data()) std::swap(keys, spare);
  }

  template <typename Key>
  void SortPairs(int bits, Array<Key>& keys, Array<uint32_t>& values) {
    if (keys.size() == 0 || bits == 0 || Stopped()) return;
    Array<Key> spare_keys(memory(), keys.size());
    Array<uint32_t> spare_values(memory(), keys.size());
    cub::DoubleBuffer<Key> both_keys(keys.data(), spare_keys.data());
    cub::DoubleBuffer<uint32_t> both_values(values.data(), spare_values.data());
    WithScratch([&](void* scratch, size_t& bytes) {
      return cub::DeviceRadixSort::SortPairs(scratch, bytes, both_keys, both_values,
                                             uint64_t{keys.size()}, 0, bits, device_.stream);
    });
    if (both_keys.Current() != keys.data()) std::swap(keys, spare_keys);
    if (both_values.Current() != values.data()) std::swap(values, spare_values);
  }

  template <typename T>
  void Upload(const T* values, size_t n, T* place) {
    if (n == 0 || Stopped()) return;
    Check(cudaMemcpyAsync(place, values, n * sizeof(T), cudaMemcpyHostToDevice, device_.stream));
  }

  template <typename T>
  T Fetch(const T* place) {
    return FetchAs<T>(place);
  }

  template <typename T>
  std::array<T, 2> FetchTwo(const T* place) {
    return FetchAs<std::array<T, 2>>(place);
  }

 private:
  template <typename Values, typename T>
  Values FetchAs(const T* place) {
    Values values = {};
    if (Stopped()) return values;
    static_assert(sizeof(values) <= kLandingBytes);
    Check(cudaMemcpyAsync(device_.landing, place, sizeof(values), cudaMemcpyDeviceToHost,
                          device_.stream));
    Check(cudaStreamSynchronize(device_.stream));
    if (Stopped()) return values;
    std::memcpy(&values, device_.landing, sizeof(values));
    return values;
  }

  void Check(cudaError_t error) {
    if (error_ == cudaSuccess) error_ = error;
  }

  // As CUB wants it: asks how much scratch memory a call needs, then gives it.
  template <typename Call>
  void WithScratch(const Call& call) {
    size_t bytes = 0;
    Check(call(nullptr, bytes));
    if (error_ != cudaSuccess) return;
    bytes = std::max<size_t>(bytes, 1);
    const Array<std::byte> scratch(memory(), bytes);
    Check(call(scratch.data(), bytes));
  }

  const Device& device_;
  cudaError_t error_ = cudaSuccess;
};

}  // namespace lossd::flat

#endif  // LOSSD_MALIS_CUDA_DEVICE_LOOPS_CUH_
