// A GPU as a device of the server, its failures included; skipped where there is none.

#include "server/devices/gpu.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <algorithm>
#include <string>
#include <vector>

#include "lossd/base/error.h"
#include "lossd/base/task_pool.h"
#include "lossd/plan/plan_reader.h"
#include "lossd/tensor/arrivals.h"
#include "server/devices/devices.h"

namespace lossd {
namespace {

Batch RandomBatch(at::IntArrayRef sizes) {
  Batch batch;
  batch.predictions = {{"output", at::randn(sizes)}};
  batch.labels = at::rand(sizes).gt(0.3).to(at::kFloat);
  return batch;
}

class GpuTest : public testing::Test {
 protected:
  void SetUp() override {
    if (CountGpus() == 0) GTEST_SKIP() << "no GPU";
    std::vector<std::unique_ptr<Device>> devices;
    devices.push_back(*OpenGpu(0));
    gpu_ = devices.front().get();
    devices_ = std::make_unique<Devices>(std::move(devices));
  }

  absl::StatusOr<Outcome> Compute(const Batch& batch) {
    TaskPool pool(2);
    const absl::StatusOr<Schedule> schedule = plan_->Prepare(batch);
    if (!schedule.ok()) return schedule.status();
    return devices_->Compute(*plan_, *schedule, batch, {.least = 1, .likely = 1}, pool);
  }

  std::unique_ptr<const Orchestrator> plan_ = *Orchestrator::Create(
      *ReadPlan("[{function: PerChannelBCEWithLogitsLoss}, {function: MalisLoss}]"));
  Device* gpu_ = nullptr;
  std::unique_ptr<Devices> devices_;
};

TEST_F(GpuTest, ComputesWhatTheHostDoes) {
  EXPECT_EQ(gpu_->facts().name, "cuda:0");
  EXPECT_GT(gpu_->facts().memory_bytes, 0);
  const Batch batch = RandomBatch({2, 3, 20, 17, 33});
  const absl::StatusOr<Outcome> outcome = Compute(batch);
  ASSERT_TRUE(outcome.ok()) << outcome.status();
  TaskPool pool(2);
  const Outcome host = *plan_->Compute(batch, pool);
  EXPECT_NEAR(outcome->total, host.total, 1e-5 * host.total);
  EXPECT_TRUE(outcome->gradients[0].tensor.is_cpu());
  EXPECT_TRUE(at::allclose(outcome->gradients[0].tensor, host.gradients[0].tensor, 1e-4, 1e-8));
}

// What is pinned is copied from at once; what is not, or no longer, by way of other memory.
TEST_F(GpuTest, TakesItsTensorsFromMemoryOfItsChoice) {
  const Arrivals arrivals(std::make_shared<Workspace>(devices_->HostMemory()));
  Batch batch = RandomBatch({1, 3, 64, 64, 64});
  const Outcome expected = *Compute(batch);
  for (at::Tensor* tensor : {&batch.predictions[0].tensor, &batch.labels}) {
    const at::Tensor arrived = arrivals.Take(static_cast<int64_t>(tensor->nbytes()))
                                   .view(at::kFloat)
                                   .view(tensor->sizes());
    EXPECT_TRUE(arrived.is_pinned());
    *tensor = arrived.copy_(*tensor);
  }
  const Outcome outcome = *Compute(batch);
  EXPECT_EQ(outcome.total, expected.total);
  EXPECT_TRUE(at::equal(outcome.gradients[0].tensor, expected.gradients[0].tensor));
}

// Before it fails for good, as the tests of a program run in the order in which they stand.
TEST_F(GpuTest, LackOfMemoryIsAnErrorOfTheRequest) {
  const Batch large = RandomBatch({1, 3, 128, 128, 128});
  ASSERT_TRUE(Compute(large).ok());
  std::vector<at::Tensor> taken;
  const auto megabytes = [](int64_t count) {
    return at::empty({count << 20}, at::TensorOptions(at::kByte).device(at::kCUDA));
  };
  gpu_->GiveBackMemory();
  for (int64_t size = 1 << 16; size > 0;) {
    try {
      taken.push_back(megabytes(size));
    } catch (const c10::OutOfMemoryError&) {
      size /= 2;
    }
  }
  EXPECT_EQ(Compute(large).status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(devices_->any_in_service());
  taken.clear();
  gpu_->GiveBackMemory();
  EXPECT_TRUE(Compute(large).ok());
}

TEST_F(GpuTest, AWildAccessEndsItsService) {
  const Batch batch = RandomBatch({2, 3, 20, 17, 33});
  ASSERT_TRUE(Compute(batch).ok());
  void* const nowhere = reinterpret_cast<void*>(uintptr_t{64});
  const at::Device device(at::kCUDA, 0);
  at::for_blob(nowhere, {4})
      .target_device(device)
      .options(at::TensorOptions(at::kFloat).device(device))
      .make_tensor()
      .fill_(1);
  const absl::Status status = Compute(batch).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable) << status;
  EXPECT_EQ(ErrorReason(status), "DEVICE_LOST");
  EXPECT_FALSE(devices_->any_in_service());
}

}  // namespace
}  // namespace lossd
