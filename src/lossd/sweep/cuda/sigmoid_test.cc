#include "lossd/sweep/cuda/sigmoid.h"

#include <gtest/gtest.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "lossd/base/testing.h"
#include "lossd/sweep/kernels.h"

namespace lossd {
namespace {

TEST(CudaSigmoidTest, HasTheBitsOfTheProcessors) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) GTEST_SKIP() << "no GPU";
  const std::vector<float> elements = SampleOfAllFloats();
  const auto size = static_cast<int64_t>(elements.size());
  const size_t bytes = elements.size() * sizeof(float);
  void* memory = nullptr;
  ASSERT_EQ(cudaMalloc(&memory, bytes), cudaSuccess);
  auto* const on_device = static_cast<float*>(memory);
  ASSERT_EQ(cudaMemcpy(on_device, elements.data(), bytes, cudaMemcpyHostToDevice), cudaSuccess);
  ASSERT_EQ(SigmoidOnDevice(on_device, size, on_device, nullptr), cudaSuccess);
  std::vector<float> sigmoid(elements.size());
  ASSERT_EQ(cudaMemcpy(sigmoid.data(), on_device, bytes, cudaMemcpyDeviceToHost), cudaSuccess);
  ASSERT_EQ(cudaFree(on_device), cudaSuccess);
  std::vector<float> expected(elements.size());
  SigmoidBlock(elements.data(), size, expected.data());
  EXPECT_EQ(BitsOfNumbers(sigmoid), BitsOfNumbers(expected));
}

}  // namespace
}  // namespace lossd
