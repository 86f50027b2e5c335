#include "lossd/malis/cuda/testing.h"

#include <gtest/gtest.h>

#include "absl/strings/numbers.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "lossd/malis/cuda/malis.h"
#include "lossd/malis/flat/testing.h"

namespace lossd::flat {
namespace {

class DeviceRunner final : public Runner {
 public:
  explicit DeviceRunner(int device) {
    Check(cudaSetDevice(device));
    Check(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
  }
  ~DeviceRunner() override { cudaStreamDestroy(stream_); }

  Result<uint64_t> CountsOf(const OwnedBatch& batch, MalisPass pass) override {
    return Run<uint64_t>(batch, [&](const Device& device, const Batch& on_device, uint64_t* out) {
      return CountsOnDevice(device, on_device, pass, out);
    });
  }

  Result<float> WeightsOf(const OwnedBatch& batch) override {
    std::vector<uint64_t> pairs(2, 7);
    const Array<uint64_t> on_device = Upload(pairs);
    Result<float> result =
        Run<float>(batch, [&](const Device& device, const Batch& there, float* weights) {
          return WeightsOnDevice(device, there, weights, on_device.data());
        });
    Check(cudaMemcpy(pairs.data(), on_device.data(), pairs.size() * sizeof(uint64_t),
                     cudaMemcpyDeviceToHost));
    result.pairs = pairs;
    return result;
  }

 private:
  static void Check(cudaError_t error) {
    EXPECT_EQ(error, cudaSuccess) << cudaGetErrorString(error);
  }

  // Null where there are none.
  template <typename T>
  Array<T> Upload(const std::vector<T>& values) {
    Array<T> array(memory_, values.size());
    if (values.empty()) return array;
    Check(cudaMemcpyAsync(array.data(), values.data(), values.size() * sizeof(T),
                          cudaMemcpyHostToDevice, stream_));
    Check(cudaStreamSynchronize(stream_));
    return array;
  }

  template <typename T, typename Compute>
  Result<T> Run(const OwnedBatch& batch, const Compute& compute) {
    Batch on_device = batch.OnHost();
    const Array<float> affinity = Upload(batch.affinity);
    const Array<uint8_t> positive = Upload(batch.positive);
    const Array<uint8_t> known = Upload(batch.known);
    const Array<uint32_t> labels = Upload(batch.labels);
    on_device.affinity = affinity.data();
    on_device.positive = positive.data();
    on_device.known = known.data();
    on_device.labels = labels.data();
    // What is not overwritten shows.
    Result<T> result = {
        .nan = {}, .values = std::vector<T>(batch.affinity.size(), 7), .scratch_bytes = 0};
    const Array<T> values = Upload(result.values);
    MeasuredMemory measured(memory_);
    const DeviceResult done = compute(
        {.stream = stream_, .landing = landing_.data(), .memory = measured, .cancelled = {}},
        on_device, values.data());
    Check(done.error);
    Check(cudaStreamSynchronize(stream_));
    Check(cudaMemcpy(result.values.data(), values.data(), values.size() * sizeof(T),
                     cudaMemcpyDeviceToHost));
    result.nan = done.nan;
    result.scratch_bytes = measured.peak();
    return result;
  }

  cudaStream_t stream_ = nullptr;
  StreamMemory memory_{stream_};
  const PinnedMemory landing_{kLandingBytes};
};

}  // namespace

std::unique_ptr<Runner> MakeDeviceRunner(const std::string& device, std::string& why_not) {
  absl::string_view number = device;
  int index = 0;
  if (!absl::ConsumePrefix(&number, "cuda:") || !absl::SimpleAtoi(number, &index)) {
    why_not = "no such place";
    return nullptr;
  }
  if (index < 0 || index >= DeviceCount()) {
    why_not = "no GPU of this number";
    return nullptr;
  }
  return std::make_unique<DeviceRunner>(index);
}

}  // namespace lossd::flat
