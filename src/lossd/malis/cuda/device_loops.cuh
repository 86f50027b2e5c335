#ifndef LOSSD_MALIS_CUDA_DEVICE_LOOPS_CUH_
#define LOSSD_MALIS_CUDA_DEVICE_LOOPS_CUH_

#include <cuda_runtime_api.h>
#include <thrust/iterator/counting_iterator.h>
#include <thrust/iterator/transform_iterator.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
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

  template <typename Value>
  void Scan(uint32_t n, const Value& value, uint32_t* sums) {
    if (Stopped()) return;
    const auto values = thrust::make_transform_iterator(
        thrust::counting_iterator<uint32_t>(0),
        [=] __host__ __device__(uint32_t i) { return i < n ? value(i) : 0U; });
    WithScratch([&](void* scratch, size_t& bytes) {
      return cub::DeviceScan::ExclusiveSum(scratch, bytes, values, sums, uint64_t{n} + 1,
                                           device_.stream);
    });
  }

  template <typename Keep, typename Make, typename T>
  uint32_t Select(uint32_t n, const Keep& keep, const Make& make, T* out) {
    if (n == 0 || Stopped()) return 0;
    const Array<uint32_t> counts(memory(), 1);
    const thrust::counting_iterator<uint32_t> indices(0);
    const auto made = thrust::make_transform_iterator(indices, make);
    WithScratch([&](void* scratch, size_t& bytes) {
      return cub::DeviceSelect::FlaggedIf(scratch, bytes, made, indices, out, counts.data(),
                                          int64_t{n}, keep, device_.stream);
    });
    return Fetch(counts.data());
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
    Check(cudaStreamSynchronize(device_.stream));
  }

  template <typename T>
  T Fetch(const T* place) {
    T value = {};
    if (Stopped()) return value;
    Check(cudaMemcpyAsync(&value, place, sizeof(T), cudaMemcpyDeviceToHost, device_.stream));
    Check(cudaStreamSynchronize(device_.stream));
    return Stopped() ? T{} : value;
  }

 private:
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
