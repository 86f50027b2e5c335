#include <ATen/ATen.h>
#include <ATen/Context.h>
#include <c10/cuda/CUDAFunctions.h>
#include <gtest/gtest.h>

namespace {

TEST(CudaLinkTest, BackendOfLibTorchIsLoaded) { EXPECT_TRUE(at::Context::hasCUDART()); }

TEST(CudaLinkTest, DevicesAreCountedWithoutADriver) {
  EXPECT_GE(c10::cuda::device_count(), 0);
  EXPECT_EQ(c10::cuda::device_count() > 0, at::hasCUDA());
}

}  // namespace
