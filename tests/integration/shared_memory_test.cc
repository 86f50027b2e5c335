// Clients that share memory with a real server, and what becomes of them where they cannot. That
// the answers are the same as by other transports is tested with those (stream_test.cc).

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>

#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lossd/client.h"
#include "tests/integration/served_test.h"

namespace lossd {
namespace {

using testing::HasSubstr;

constexpr char kPlan[] = "[{function: WeightedMSELoss}]";
// What is streamed, or shared, unless told otherwise.
constexpr int64_t kLarge = 65;

class SharedMemoryTest : public ServedTest {
 protected:
  SharedMemoryTest() : ServedTest(std::make_shared<spdlog::sinks::null_sink_mt>()) {}

  Client Connect(Transport transport) const {
    return ServedTest::Connect({.transport = transport});
  }

  static Batch Constant(float value, int64_t size = kLarge) {
    Batch batch;
    batch.predictions = {{"output", at::full({1, 1, size, size, size}, value)}};
    batch.labels = at::zeros({1, 1, size, size, size});
    return batch;
  }

  // Whether the server shares so many bytes soon.
  bool ServerComesToShare(int64_t bytes) const {
    const absl::Time end = absl::Now() + absl::Minutes(1);
    while (server_->shared_bytes() != bytes && absl::Now() < end) {
      absl::SleepFor(absl::Milliseconds(1));
    }
    return server_->shared_bytes() == bytes;
  }

  // Computes a batch of that value, and checks the answer, which is value² everywhere; the bytes
  // that went over the network.
  static int64_t Check(const Client& client, float value, int64_t size = kLarge) {
    const absl::StatusOr<Result> result = client.Compute(kPlan, Constant(value, size));
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) return 0;
    EXPECT_NEAR(result->total, value * value, 1e-5);
    const auto voxels = static_cast<float>(size * size * size);
    const at::Tensor& gradient = result->gradients[0].tensor;
    EXPECT_TRUE(at::allclose(gradient, at::full_like(gradient, 2 * value / voxels)));
    return result->bytes.sent;
  }
};

constexpr int64_t kFewBytes = 4096;

TEST_F(SharedMemoryTest, IsUsedForLargeBatchesByItself) {
  Start();
  EXPECT_LT(Check(Connect(Transport::kAuto), 3), kFewBytes);
  EXPECT_LT(Check(Connect(Transport::kShared), 3, 8), kFewBytes);
}

TEST_F(SharedMemoryTest, IsForgottenWithItsClient) {
  Start();
  {
    const Client client = Connect(Transport::kShared);
    Check(client, 1);
    EXPECT_GT(server_->shared_bytes(), 0);
  }
  EXPECT_TRUE(ServerComesToShare(0));
}

TEST_F(SharedMemoryTest, IsUsedAgain) {
  Start();
  const Client client = Connect(Transport::kShared);
  Check(client, 1);
  const int64_t bytes = server_->shared_bytes();
  for (const float value : {2.F, 3.F, 4.F}) Check(client, value);
  Check(client, 5, 8);
  EXPECT_EQ(server_->shared_bytes(), bytes);
  // Not without bounds where sizes vary, either.
  for (int64_t size = kLarge; size < kLarge + 100; size += 10) Check(client, 1, size);
  int64_t most = 0;
  for (int64_t size = kLarge + 60; size < kLarge + 100; size += 10) {
    most += 3 * 4 * size * size * size;
  }
  EXPECT_LT(server_->shared_bytes(), most);
}

TEST_F(SharedMemoryTest, IsEachCallsOwn) {
  config_.max_concurrent_requests = 3;
  Start();
  const Client client = Connect(Transport::kShared);
  std::vector<std::future<void>> callers;
  for (int caller = 0; caller < 4; ++caller) {
    callers.push_back(std::async(std::launch::async, [&client, caller] {
      for (int call = 0; call < 10; ++call) Check(client, static_cast<float>(1 + caller));
    }));
  }
  for (std::future<void>& caller : callers) caller.get();
}

TEST_F(SharedMemoryTest, IsNotRequired) {
  config_.shared_memory = "off";
  Start();
  EXPECT_GT(Check(Connect(Transport::kAuto), 3), kLarge * kLarge * kLarge);
  const absl::Status refused = Connect(Transport::kShared).Compute(kPlan, Constant(1)).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
}

TEST_F(SharedMemoryTest, IsNotRequiredWhereTheServerHasNoMoreRoom) {
  config_.shared_memory_max_bytes = 1 << 20;
  Start();
  EXPECT_GT(Check(Connect(Transport::kAuto), 3), kLarge * kLarge * kLarge);
  const absl::Status refused = Connect(Transport::kShared).Compute(kPlan, Constant(1)).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kFailedPrecondition) << refused;
  EXPECT_THAT(std::string(refused.message()), HasSubstr("shared_memory_max_bytes"));
}

TEST_F(SharedMemoryTest, SurvivesARestart) {
  Start();
  const Client client = Connect(Transport::kShared);
  Check(client, 1);
  server_ = nullptr;
  Start();
  EXPECT_LT(Check(client, 2), kFewBytes);
}

// The server may still read what a call that was given up has left.
TEST_F(SharedMemoryTest, IsNotUsedAgainAfterACallThatWasGivenUp) {
  Start();
  const Client client = Connect(Transport::kShared);
  Check(client, 1);
  const int64_t bytes = server_->shared_bytes();
  {
    PendingResult pending = client.Submit(
        "[{function: SoftClDiceLoss, kwargs: {num_iters: 60, foreground_channel: 0}}]",
        Constant(0.5));
    absl::SleepFor(absl::Milliseconds(20));
    pending.Cancel();
    EXPECT_TRUE(absl::IsCancelled(pending.Get().status())) << pending.Get().status();
  }
  Check(client, 1);
  // It has it until its computing has come to its end.
  EXPECT_TRUE(ServerComesToShare(bytes));
}

}  // namespace
}  // namespace lossd
