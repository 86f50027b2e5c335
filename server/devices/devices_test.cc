#include "server/devices/devices.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <atomic>
#include <cmath>
#include <map>
#include <string>
#include <thread>

#include "lossd/base/error.h"
#include "lossd/base/task_pool.h"
#include "lossd/plan/plan_reader.h"
#include "server/devices/self_test.h"

namespace lossd {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

// A device that computes as the host does, until it is told to fail.
class FakeDevice final : public Device {
 public:
  explicit FakeDevice(std::string name)
      : Device(
            {.name = std::move(name), .description = "", .architecture = "", .memory_bytes = 0}) {}

  absl::StatusOr<Outcome> Compute(const Orchestrator& plan, const Schedule& schedule,
                                  const Batch& batch, const Context& context) override {
    ++computed;
    if (during) during();
    if (lacks_memory.fetch_sub(1) > 0) return absl::ResourceExhaustedError("no memory");
    if (lost || fails_once.exchange(false)) return absl::InternalError("CUDA error");
    return plan.Compute(schedule, batch, context);
  }
  bool Works() override { return !lost; }
  bool GiveBackMemory() override {
    ++given_back;
    return keeps_memory;
  }

  std::atomic<int> computed = 0;
  std::atomic<int> given_back = 0;
  std::atomic<bool> keeps_memory = true;
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

  absl::StatusOr<double> Compute(int64_t bytes = 1) {
    TaskGroup group(pool_);
    const absl::StatusOr<Outcome> outcome =
        devices_->Compute(*plan_, schedule_, batch_, bytes, Context(group, never_));
    if (!outcome.ok()) return outcome.status();
    return outcome->total;
  }

  TaskPool pool_{2};
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

TEST_F(DevicesTest, TriesOnceMoreWithoutWhatItKeeps) {
  fakes_[0]->lacks_memory = 1;
  EXPECT_EQ(*Compute(), expected_);
  EXPECT_EQ(fakes_[0]->given_back, 1);
  fakes_[0]->lacks_memory = 2;
  EXPECT_EQ(Compute().status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_TRUE(devices_->states()[0].in_service);
  // In vain where nothing was given back.
  fakes_[0]->keeps_memory = false;
  fakes_[0]->lacks_memory = 1;
  const int before = fakes_[0]->computed;
  EXPECT_EQ(Compute().status().code(), absl::StatusCode::kResourceExhausted);
  EXPECT_EQ(fakes_[0]->computed, before + 1);
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
  bool GiveBackMemory() override { return false; }

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
