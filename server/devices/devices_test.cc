#include "server/devices/devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <atomic>
#include <chrono>
#include <cmath>
#include <functional>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "lossd/base/error.h"
#include "lossd/base/task_pool.h"
#include "lossd/plan/plan_reader.h"
#include "server/devices/self_test.h"

namespace lossd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr int64_t kMemory = 10'000;

// A device that computes as the host does, until it is told to fail.
class FakeDevice final : public Device {
 public:
  explicit FakeDevice(std::string name, int64_t memory_bytes = kMemory)
      : Device({.name = std::move(name),
                .description = "",
                .architecture = "",
                .memory_bytes = memory_bytes}) {}

  absl::StatusOr<Outcome> Compute(const Orchestrator& plan, const Schedule& schedule,
                                  const Batch& batch, const Context& context) override {
    ++computed;
    if (during) during();
    if (lacks_memory.fetch_sub(1) > 0) return absl::ResourceExhaustedError("no memory");
    if (lost || fails_once.exchange(false)) return absl::InternalError("CUDA error");
    return plan.Compute(schedule, batch, context);
  }
  bool Works() override { return !lost; }
  void GiveBackMemory() override { ++given_back; }

  std::atomic<int> computed = 0;
  std::atomic<int> given_back = 0;
  std::atomic<int> lacks_memory = 0;  // That many times.
  std::atomic<bool> fails_once = false;
  std::atomic<bool> lost = false;
  std::function<void()> during;
};

class DevicesTest : public testing::Test {
 protected:
  DevicesTest() {
    batch_.predictions = {{"output", at::randn({1, 1, 4, 5, 6})}};
    batch_.labels = at::rand({1, 1, 4, 5, 6}).gt(0.5).to(at::kFloat);
    auto plan = ReadPlan("[{function: MSELoss}]");
    plan_ = *Orchestrator::Create(*plan);
    schedule_ = *plan_->Prepare(batch_);
    expected_ = plan_->Compute(batch_, pool_)->total;
    std::vector<std::unique_ptr<Device>> devices;
    for (const char* const name : {"a", "b"}) {
      auto device = std::make_unique<FakeDevice>(name);
      fakes_.push_back(device.get());
      devices.push_back(std::move(device));
    }
    devices_ = std::make_unique<Devices>(
        std::move(devices), [this](const DeviceFacts& lost, const absl::Status& why, bool others) {
          losses_.push_back(lost.name + (others ? ", others: " : ", none: ") +
                            std::string(why.message()));
        });
  }

  absl::StatusOr<double> Compute(int64_t bytes = 1) { return Compute(bytes, never_); }
  absl::StatusOr<double> Compute(int64_t bytes, const Cancellation& cancellation) {
    TaskGroup group(pool_);
    const absl::StatusOr<Outcome> outcome =
        devices_->Compute(*plan_, schedule_, batch_, {.least = bytes / 2, .likely = bytes},
                          Context(group, cancellation));
    if (!outcome.ok()) return outcome.status();
    return outcome->total;
  }

  // Calls body() while each of the two computes a request of so many bytes.
  void WhileBothCompute(int64_t bytes, const std::function<void()>& body) {
    std::latch computing(2);
    std::latch done(1);
    for (FakeDevice* const fake : fakes_) {
      fake->during = [&, first = std::make_shared<std::atomic<bool>>(true)] {
        if (!first->exchange(false)) return;
        computing.count_down();
        done.wait();
      };
    }
    std::vector<std::jthread> requests;
    for (size_t i = 0; i < fakes_.size(); ++i) {
      requests.emplace_back([&] { EXPECT_EQ(*Compute(bytes), expected_); });
    }
    computing.wait();
    body();
    done.count_down();
  }

  TaskPool pool_{8};
  const Cancellation never_;
  Batch batch_;
  std::unique_ptr<const Orchestrator> plan_;
  Schedule schedule_;
  double expected_ = 0;
  std::vector<FakeDevice*> fakes_;
  std::unique_ptr<Devices> devices_;
  std::vector<std::string> losses_;
};

TEST_F(DevicesTest, TakesTheOneWithTheLeastToDoInBytes) {
  // Within a large request on the first, two small ones go to the second.
  fakes_[0]->during = [this] {
    fakes_[0]->during = {};
    EXPECT_EQ(devices_->states()[0].requests, 1);
    EXPECT_TRUE(Compute(10).ok());
    EXPECT_TRUE(Compute(10).ok());
  };
  EXPECT_EQ(*Compute(1000), expected_);
  EXPECT_EQ(fakes_[0]->computed, 1);
  EXPECT_EQ(fakes_[1]->computed, 2);
  EXPECT_EQ(devices_->states()[0].requests, 0);
  // What has been computed is nothing to do.
  EXPECT_TRUE(Compute(10).ok());
  EXPECT_EQ(fakes_[0]->computed, 2);
}

TEST_F(DevicesTest, WaitsForRoom) {
  std::vector<std::jthread> later;
  std::atomic<int> answered = 0;
  WhileBothCompute(kMemory * 3 / 4, [&] {
    // The small one would have room, but is not first in line.
    for (const int64_t bytes : {kMemory / 2, int64_t{1}}) {
      const size_t waiting = devices_->waiting();
      later.emplace_back([&, bytes] {
        EXPECT_EQ(*Compute(bytes), expected_);
        ++answered;
      });
      while (devices_->waiting() == waiting) std::this_thread::yield();
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    EXPECT_EQ(answered, 0);
  });
  later.clear();
  EXPECT_EQ(answered, 2);
  EXPECT_EQ(devices_->waiting(), 0U);
}

TEST_F(DevicesTest, WhoIsNotWaitedForLeavesTheLine) {
  WhileBothCompute(kMemory, [&] {
    Cancellation cancellation;
    std::jthread waits([&] {
      EXPECT_EQ(Compute(kMemory, cancellation).status().code(), absl::StatusCode::kCancelled);
    });
    while (devices_->waiting() == 0) std::this_thread::yield();
    cancellation.Cancel(absl::CancelledError(""));
    waits.join();
    EXPECT_EQ(devices_->waiting(), 0U);
  });
}

TEST_F(DevicesTest, WhatMayNeedMoreThanThereIsGetsAllThereIs) {
  EXPECT_EQ(*Compute(2 * kMemory), expected_);
  EXPECT_EQ(fakes_[0]->computed, 1);
}

TEST_F(DevicesTest, WhatNeverFitsIsRefused) {
  EXPECT_TRUE(devices_->CheckFits({.least = kMemory, .likely = 5 * kMemory}).ok());
  const absl::Status status = devices_->CheckFits({.least = kMemory + 1, .likely = kMemory + 1});
  EXPECT_EQ(status.code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(ErrorReason(status), "TOO_LARGE");
  EXPECT_EQ(status.message(),
            "the request's tensors and gradients are 10001 bytes on a device, and a has 10000 "
            "bytes of memory, no other more: send fewer voxels at a time");
  EXPECT_EQ(Compute(2 * kMemory + 2).status().message(), status.message());
  EXPECT_EQ(fakes_[0]->computed, 0);
  // One that has enough is the only one for it.
  std::vector<std::unique_ptr<Device>> devices;
  devices.push_back(std::make_unique<FakeDevice>("small", 10));
  devices.push_back(std::make_unique<FakeDevice>("large"));
  auto* const small = static_cast<FakeDevice*>(devices[0].get());
  devices_ = std::make_unique<Devices>(std::move(devices));
  EXPECT_EQ(*Compute(40), expected_);
  EXPECT_EQ(small->computed, 0);
}

TEST_F(DevicesTest, TriesOnceMoreAloneWithoutWhatIsKept) {
  fakes_[0]->lacks_memory = 1;
  EXPECT_EQ(*Compute(), expected_);
  EXPECT_EQ(fakes_[0]->computed, 2);
  EXPECT_EQ(fakes_[0]->given_back, 1);
  fakes_[0]->lacks_memory = 2;
  EXPECT_EQ(Compute().status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(devices_->states()[0].in_service);
  EXPECT_EQ(fakes_[0]->given_back, 2);
  std::jthread later;
  WhileBothCompute(1, [&] {
    fakes_[0]->lacks_memory = 1;
    later = std::jthread([&] { EXPECT_EQ(*Compute(), expected_); });
    while (devices_->waiting() == 0) std::this_thread::yield();
    EXPECT_EQ(fakes_[0]->given_back + fakes_[1]->given_back, 2) << "it is not alone yet";
  });
  later.join();
  EXPECT_EQ(fakes_[0]->given_back + fakes_[1]->given_back, 3);
}

TEST_F(DevicesTest, AnErrorOfARequestIsNoLoss) {
  fakes_[0]->fails_once = true;
  EXPECT_EQ(Compute().status().code(), absl::StatusCode::kInternal);
  EXPECT_TRUE(devices_->states()[0].in_service);
  batch_.predictions[0].tensor.fill_(std::nan(""));
  EXPECT_EQ(Compute().status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_TRUE(losses_.empty());
}

TEST_F(DevicesTest, WhatALostDeviceWasComputingAnotherOneDoes) {
  fakes_[0]->lost = true;
  EXPECT_EQ(*Compute(), expected_);
  EXPECT_FALSE(devices_->states()[0].in_service);
  EXPECT_EQ(*Compute(), expected_);
  EXPECT_EQ(fakes_[0]->computed, 1);
  fakes_[1]->lost = true;
  const absl::Status status = Compute().status();
  EXPECT_EQ(status.code(), absl::StatusCode::kUnavailable);
  EXPECT_EQ(ErrorReason(status), "DEVICE_LOST");
  EXPECT_FALSE(devices_->any_in_service());
  EXPECT_THAT(losses_, ElementsAre("a, others: CUDA error", "b, none: CUDA error"));
}

// One of two is lost under the load of eight clients: each gets the right answer.
TEST_F(DevicesTest, NoCallIsLostWithADevice) {
  std::atomic<int> answered = 0;
  std::vector<std::jthread> clients;
  for (int c = 0; c < 8; ++c) {
    clients.emplace_back([this, &answered, c] {
      for (int i = 0; i < 50; ++i) {
        if (c == 3 && i == 20) fakes_[0]->lost = true;
        const absl::StatusOr<double> total = Compute();
        ASSERT_TRUE(total.ok()) << total.status();
        ASSERT_EQ(*total, expected_);
        ++answered;
      }
    });
  }
  clients.clear();
  EXPECT_EQ(answered, 400);
  EXPECT_EQ(losses_.size(), 1U);
  EXPECT_EQ(devices_->states()[1].requests, 0);
}

// Computes something else than what it is asked for.
class WrongDevice final : public Device {
 public:
  explicit WrongDevice(double factor)
      : Device({.name = "wrong", .description = "", .architecture = "", .memory_bytes = 0}),
        factor_(factor) {}

  absl::StatusOr<Outcome> Compute(const Orchestrator& plan, const Schedule& schedule,
                                  const Batch& batch, const Context& context) override {
    absl::StatusOr<Outcome> outcome = plan.Compute(schedule, batch, context);
    outcome->total *= factor_;
    if (factor_ == 1) outcome->gradients[0].tensor.view(-1)[2] = 0;
    return outcome;
  }
  bool Works() override { return true; }
  void GiveBackMemory() override {}

 private:
  const double factor_;
};

TEST(SelfTestTest, LooksAtLossAndGradient) {
  EXPECT_TRUE(SelfTest(*OnlyTheHost().front()).ok());
  WrongDevice wrong_loss(1.001);
  EXPECT_THAT(std::string(SelfTest(wrong_loss).message()),
              HasSubstr("a loss of 0.51051 and not 0.51"));
  WrongDevice not_a_number(std::nan(""));
  EXPECT_FALSE(SelfTest(not_a_number).ok());
  WrongDevice wrong_gradient(1);
  EXPECT_THAT(std::string(SelfTest(wrong_gradient).message()), HasSubstr("a wrong gradient"));
  FakeDevice broken("broken");
  broken.lost = true;
  EXPECT_THAT(std::string(SelfTest(broken).message()), HasSubstr("ends with CUDA error"));
}

TEST(OpenDevicesTest, SaysWhatIsWrong) {
  EXPECT_EQ((*OpenDevices("cpu"))[0]->facts().name, "cpu");
  EXPECT_EQ((*OpenDevices("auto")).size(), 1U);
  for (const char* const names :
       {"", "gpu", "cuda", "cuda:", "cuda:x", "cuda:-1", "cuda:01", "cuda:0,", "cpu,cuda:0"}) {
    const absl::Status status = OpenDevices(names).status();
    EXPECT_EQ(ErrorField(status), "devices") << names;
    EXPECT_THAT(std::string(status.message()), HasSubstr("expected auto, cpu, or GPUs")) << names;
  }
  EXPECT_THAT(std::string(OpenDevices("cuda:4096").status().message()), HasSubstr("but "));
}

}  // namespace
}  // namespace lossd
