#include <gtest/gtest.h>

#include <cmath>
#include <cstddef>
#include <string>
#include <type_traits>
#include <vector>

#include "lossd/losses/list.h"
#include "lossd/sweep/any_element.h"
#include "lossd/sweep/element.h"

// That the element functions of all losses are compiled for GPUs too, and say there what they say
// on the processor.
namespace lossd {
namespace {

template <typename Element>
LOSSD_VECTORIZED LossAndSlope At(const Element& element, float pred, float target) {
  if constexpr (std::is_invocable_v<Element, float>) {
    return element(Tanh(pred) - target);
  } else {
    return element(pred, target);
  }
}

template <typename Element>
__global__ void Run(Element element, const float* pred, const float* target, size_t size,
                    LossAndSlope* results) {
  const size_t i = blockIdx.x * size_t{blockDim.x} + threadIdx.x;
  if (i < size) results[i] = At(element, pred[i], target[i]);
}

// Memory that host and device see.
template <typename T>
class Shared {
 public:
  explicit Shared(size_t size) {
    EXPECT_EQ(cudaMallocManaged(&data_, size * sizeof(T)), cudaSuccess);
  }
  ~Shared() { cudaFree(data_); }
  Shared(const Shared&) = delete;
  Shared& operator=(const Shared&) = delete;

  T* data() const { return data_; }
  T& operator[](size_t i) const { return data_[i]; }

 private:
  T* data_ = nullptr;
};

template <typename Loss>
void ExpectAsOnTheHost() {
  using Element = typename ElementOf<Loss>::Type;
  if constexpr (!std::is_void_v<Element>) {
    SCOPED_TRACE(std::string(Loss::kTraits.name));
    constexpr size_t kSize = 2000;
    const Element element = Loss().Element();
    const Shared<float> pred(kSize);
    const Shared<float> target(kSize);
    const Shared<LossAndSlope> results(kSize);
    for (size_t i = 0; i < kSize; ++i) {
      pred[i] = -30 + 0.03F * static_cast<float>(i);
      target[i] = static_cast<float>(i % 3) / 2;
    }
    Run<<<(kSize + 255) / 256, 256>>>(element, pred.data(), target.data(), kSize, results.data());
    ASSERT_EQ(cudaDeviceSynchronize(), cudaSuccess);
    for (size_t i = 0; i < kSize; ++i) {
      const LossAndSlope expected = At(element, pred[i], target[i]);
      EXPECT_NEAR(results[i].loss, expected.loss, 1e-6 * (1 + std::abs(expected.loss)));
      EXPECT_NEAR(results[i].slope, expected.slope, 1e-6 * (1 + std::abs(expected.slope)));
    }
  }
}

template <typename... Each>
void ExpectAllAsOnTheHost(TypeList<Each...> /*losses*/) {
  (ExpectAsOnTheHost<Each>(), ...);
}

TEST(ElementFunctionsTest, AreTheSameOnADevice) {
  int devices = 0;
  if (cudaGetDeviceCount(&devices) != cudaSuccess || devices == 0) GTEST_SKIP() << "no GPU";
  ExpectAllAsOnTheHost(Losses());
}

}  // namespace
}  // namespace lossd
