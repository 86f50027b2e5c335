#include "server/call.h"

#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>

#include <latch>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/config.h"

namespace lossd {
namespace {

constexpr int64_t kBudget = 1600;
constexpr Demand kDemand = {.bytes = 1000, .answer_bytes = 300, .cost = 1e12};

// A server's parts, whose only thread for large calls is busy, or whose memory is taken.
class CallTest : public testing::Test {
 protected:
  // A call of its own, which tells how it ended.
  struct Observed {
    explicit Observed(CallTest& test)
        : call(test.surroundings_, context, "Test", [this, &test](const absl::Status& s) {
            status = s;
            idle_by_then = test.executor_.TakeTurn() != nullptr;
          }) {
      EXPECT_TRUE(call.Admit("").ok());
    }

    void AwaitMemory(const Demand& demand = kDemand) {
      call.AwaitMemory(demand, [this] { granted = true; });
    }
    void Run() {
      call.Run([this] {
        ran = true;
        ran_here = std::this_thread::get_id() == thread;
        return absl::OkStatus();
      });
    }

    grpc::CallbackServerContext context;
    std::optional<absl::Status> status;
    bool granted = false;
    bool ran = false;
    bool ran_here = false;
    bool idle_by_then = false;  // The server, when the status was told.
    const std::thread::id thread = std::this_thread::get_id();
    Call call;
  };

  ~CallTest() override {
    if (busy_) release_.count_down();
  }

  void KeepBusy() {
    Executor::Place place;
    ASSERT_EQ(executor_.Admit(place), Executor::Admission::kAccepted);
    std::latch started(1);
    executor_.Submit(std::move(place), {.client = "other", .cost = kDemand.cost}, [&] {
      started.count_down();
      release_.wait();
    });
    started.wait();
    busy_ = true;
  }

  Log log_{Log::Format::kText, spdlog::level::err, std::make_shared<spdlog::sinks::null_sink_mt>()};
  std::unique_ptr<Secrets> secrets_ = Secrets::Load(Config(), log_).value();
  std::latch release_{1};
  bool busy_ = false;
  MemoryBudget memory_{kBudget};
  OpenCalls open_calls_;
  Observability observability_{{}, {}, [] { return ServerState(); }, absl::Hours(1)};
  Cancellation shutdown_;
  Executor executor_{1, 10};
  CallSurroundings surroundings_{.log = log_,
                                 .secrets = *secrets_,
                                 .executor = executor_,
                                 .memory = memory_,
                                 .open_calls = open_calls_,
                                 .observability = observability_,
                                 .shutdown = shutdown_};
};

TEST_F(CallTest, HasItsMemoryUntilItGoes) {
  {
    Observed observed(*this);
    observed.AwaitMemory();
    EXPECT_TRUE(observed.granted);
    EXPECT_EQ(memory_.reserved(), 1000);
    observed.call.ReleaseAllButAnswer();
    EXPECT_EQ(memory_.reserved(), 300);
    // The answer is on its way.
    (void)observed.call.End(absl::OkStatus());
    EXPECT_EQ(memory_.reserved(), 300);
  }
  EXPECT_EQ(memory_.reserved(), 0);
}

TEST_F(CallTest, IsRefusedAtOnceWhatNeverFits) {
  Observed observed(*this);
  observed.call.AwaitMemory({.bytes = kBudget}, [] { FAIL() << "granted"; });
  ASSERT_TRUE(observed.status.has_value());
  EXPECT_TRUE(absl::IsResourceExhausted(*observed.status)) << *observed.status;
  const std::string message(observed.status->message());
  EXPECT_NE(message.find("1600 bytes"), std::string::npos) << message;
  EXPECT_NE(message.find("memory_budget"), std::string::npos) << message;
}

TEST_F(CallTest, SaysHowLongItWaited) {
  constexpr absl::Duration kWait = absl::Milliseconds(20);
  std::optional<MemoryBudget::Reservation> taken = memory_.TryReserve(1000);
  Observed observed(*this);
  observed.AwaitMemory();
  EXPECT_FALSE(observed.granted);
  absl::SleepFor(kWait);
  taken.reset();
  EXPECT_TRUE(observed.granted);
  absl::SleepFor(kWait);  // What the client takes to send is not the queue's.
  observed.Run();
  EXPECT_TRUE(executor_.Drain(absl::Seconds(60)));
  EXPECT_TRUE(observed.ran);
  v1::ComputeResponse answer;
  observed.call.Sign(answer);
  EXPECT_GE(answer.timings().queue_seconds(), absl::ToDoubleSeconds(kWait));
  EXPECT_GE(answer.timings().total_seconds(), answer.timings().queue_seconds());
}

TEST_F(CallTest, ComputesWhereItArrivesWhatIsTiny) {
  constexpr Demand kTiny = {.bytes = 1, .answer_bytes = 1, .cost = 1};
  Observed observed(*this);
  observed.AwaitMemory(kTiny);
  observed.Run();
  EXPECT_TRUE(observed.ran_here);
  // The next call may come while the answer is being sent.
  EXPECT_TRUE(observed.idle_by_then);
  (void)observed.call.End(absl::OkStatus());

  KeepBusy();
  Observed other(*this);
  other.AwaitMemory(kTiny);
  other.Run();
  release_.count_down();
  busy_ = false;
  (void)executor_.Drain(absl::Seconds(60));
  EXPECT_TRUE(other.ran);
  EXPECT_FALSE(other.ran_here);
}

// Cancelled at each of its stages, it ends at once: nobody else has to get out of the way first.
TEST_F(CallTest, EndsWhileItWaitsForMemory) {
  const std::optional<MemoryBudget::Reservation> taken = memory_.TryReserve(1000);
  Observed observed(*this);
  observed.AwaitMemory();
  EXPECT_FALSE(observed.status.has_value());
  observed.call.StopWaiting();  // Somebody waits for it.
  EXPECT_FALSE(observed.status.has_value());
  observed.call.Cancel();
  ASSERT_TRUE(observed.status.has_value());
  EXPECT_TRUE(absl::IsCancelled(*observed.status));
  EXPECT_EQ(memory_.waiting(), 0);
}

TEST_F(CallTest, EndsInsteadOfWaitingForMemory) {
  const std::optional<MemoryBudget::Reservation> taken = memory_.TryReserve(1000);
  Observed observed(*this);
  observed.call.Cancel();
  observed.AwaitMemory();
  EXPECT_TRUE(observed.status.has_value());
  EXPECT_EQ(memory_.waiting(), 0);
}

TEST_F(CallTest, EndsWhileItWaitsForItsTurn) {
  KeepBusy();
  Observed observed(*this);
  observed.AwaitMemory();
  observed.Run();
  EXPECT_FALSE(observed.status.has_value());
  observed.call.Cancel();
  EXPECT_TRUE(observed.status.has_value());
  EXPECT_FALSE(observed.ran);
}

TEST_F(CallTest, EndsInsteadOfWaitingForItsTurn) {
  KeepBusy();
  Observed observed(*this);
  observed.AwaitMemory();
  observed.call.Cancel();
  EXPECT_FALSE(observed.status.has_value());
  observed.Run();
  EXPECT_TRUE(observed.status.has_value());
}

// Nobody tells those that wait that the server stops: they notice when their turn comes.
TEST_F(CallTest, DoesNotRunWhenTheServerStops) {
  KeepBusy();
  Observed observed(*this);
  observed.AwaitMemory();
  observed.Run();
  shutdown_.Cancel(absl::UnavailableError("stopping"));
  release_.count_down();
  busy_ = false;
  EXPECT_TRUE(executor_.Drain(absl::Seconds(60)) || observed.status.has_value());
  EXPECT_EQ(observed.status, absl::UnavailableError("stopping"));
  EXPECT_FALSE(observed.ran);
}

}  // namespace
}  // namespace lossd
