// The program `lossd` as an operator runs it: start, SIGTERM, exit.

#include "tests/integration/server_process.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <chrono>
#include <future>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lossd/client.h"

namespace lossd {
namespace {

constexpr char kPlan[] = "[{function: MalisLoss}]";

// Affinities of a cube.
Batch Affinities(int64_t size) {
  at::manual_seed(0);
  Batch batch;
  batch.predictions = {{"output", at::randn({1, 3, size, size, size})}};
  batch.labels = at::rand({1, 3, size, size, size}).gt(0.3);
  return batch;
}

TEST(ServerProcessTest, AnswersWhatItAcceptedBeforeSigterm) {
  // Computes one request at a time and lets none wait.
  ServerProcess server(LOSSD_SERVER, {"--max_concurrent_requests=1", "--max_queued_requests=0",
                                      "--log_level=error"});
  // On a busy machine short calls may be in the long one's way for a while.
  const absl::StatusOr<Client> client = Client::Connect(server.Address());
  ASSERT_TRUE(client.ok()) << client.status();
  const absl::StatusOr<Client> impatient =
      Client::Connect(server.Address(), {.retry_timeout = absl::ZeroDuration()});
  ASSERT_TRUE(impatient.ok()) << impatient.status();

  // The first call may have to wait for LibTorch to come from disk: longer than the long call
  // repeats itself when a short one is in its way.
  const Batch small = Affinities(4);
  ASSERT_TRUE(impatient->Compute(kPlan, small).ok());

  // Takes much longer than a busy machine may keep a short call from being sent.
  constexpr int64_t kLong = 160;
  auto accepted = std::async(std::launch::async,
                             [&client] { return client->Compute(kPlan, Affinities(kLong)); });
  // Another call is refused as soon as, and only if, the first one has been accepted.
  while (!absl::IsResourceExhausted(impatient->Compute(kPlan, small).status())) {
    ASSERT_EQ(accepted.wait_for(std::chrono::seconds(0)), std::future_status::timeout)
        << "answered before SIGTERM could be sent";
    absl::SleepFor(absl::Milliseconds(5));  // Leaves room for the other call.
  }
  server.Terminate();

  const absl::StatusOr<Result> result = accepted.get();
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->gradients[0].tensor.size(4), kLong);
  EXPECT_EQ(server.Wait(), 0);
  EXPECT_TRUE(absl::IsUnavailable(impatient->Compute(kPlan, small).status()));
}

// Memory that is shared with a server which stands still in the midst of it.
class FrozenServerTest : public testing::Test {
 protected:
  static constexpr char kPlan[] = "[{function: WeightedMSELoss}]";
  // So large that memory is shared, and so different that each wants a segment of its own.
  static constexpr int64_t kSmall = 65;
  static constexpr int64_t kLarge = 96;

  static Batch Constant(float value, int64_t size) {
    Batch batch;
    batch.predictions = {{"output", at::full({1, 1, size, size, size}, value)}};
    batch.labels = at::zeros({1, 1, size, size, size});
    return batch;
  }

  // Its total is value².
  absl::StatusOr<double> TotalOf(float value, int64_t size) const {
    const absl::StatusOr<Result> result = client_->Compute(kPlan, Constant(value, size));
    if (!result.ok()) return result.status();
    return result->total;
  }

  const ServerProcess server_{LOSSD_SERVER, {"--log_level=error"}};
  const absl::StatusOr<Client> client_ =
      Client::Connect(server_.Address(), {.timeout = absl::Seconds(20)});
};

TEST_F(FrozenServerTest, AnswersNoOtherOfferWhenItIsLate) {
  ASSERT_TRUE(client_.ok()) << client_.status();
  EXPECT_EQ(TotalOf(2, kSmall).value_or(0), 4);
  server_.Freeze();
  PendingResult given_up = client_->Submit(kPlan, Constant(3, kLarge));
  absl::SleepFor(absl::Milliseconds(300));  // It waits for the answer to its offer.
  given_up.Cancel();
  EXPECT_TRUE(absl::IsCancelled(given_up.Get().status()));
  server_.Thaw();
  for (const float value : {4.F, 5.F}) EXPECT_EQ(TotalOf(value, kLarge).value_or(0), value * value);
}

TEST_F(FrozenServerTest, KeepsNobodyWhoGivesUp) {
  ASSERT_TRUE(client_.ok()) << client_.status();
  server_.Freeze();
  // One asks whether memory is shared, and so does the next.
  PendingResult first = client_->Submit(kPlan, Constant(1, kSmall));
  PendingResult second = client_->Submit(kPlan, Constant(1, kSmall));
  absl::SleepFor(absl::Milliseconds(300));
  const absl::Time start = absl::Now();
  for (PendingResult* pending : {&second, &first}) {
    pending->Cancel();
    EXPECT_TRUE(absl::IsCancelled(pending->Get().status()));
  }
  EXPECT_LT(absl::Now() - start, absl::Seconds(5));
  server_.Thaw();
  EXPECT_EQ(TotalOf(6, kSmall).value_or(0), 36);
}

}  // namespace
}  // namespace lossd
