// How calls behave whose server fails, falls silent, or is another one; and those under way.

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <google/rpc/error_details.pb.h>
#include <google/rpc/status.pb.h>
#include <grpcpp/ext/health_check_service_server_builder_option.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/synchronization/barrier.h"
#include "absl/synchronization/notification.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lossd/base/error.h"
#include "lossd/client.h"
#include "lossd/v1/service.grpc.pb.h"

namespace lossd {
namespace {

using testing::HasSubstr;

constexpr char kPlan[] = "[{function: MSELoss}]";
constexpr absl::Duration kLong = absl::Seconds(30);

// A call as the server sees it.
struct Asked {
  grpc::ServerContext& context;
  const v1::ComputeRequest& request;
  v1::ComputeResponse& response;
  int earlier;  // Calls before it.
};

// A server that does with Compute what a test says. Its answers have the request's id.
class FakeServer : private v1::LossService::Service {
 public:
  using Handler = std::function<grpc::Status(const Asked&)>;

  explicit FakeServer(Handler handler, int port = 0) : handler_(std::move(handler)) {
    grpc::EnableDefaultHealthCheckService(true);
    grpc::ServerBuilder builder;
    builder.RegisterService(this);
    builder.AddListeningPort(absl::StrCat("127.0.0.1:", port), grpc::InsecureServerCredentials(),
                             &port_);
    server_ = builder.BuildAndStart();
  }

  ~FakeServer() override { server_->Shutdown(std::chrono::system_clock::now()); }

  int port() const { return port_; }
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }
  int calls() const { return calls_; }
  void SayThatItDoesNotServe() { server_->GetHealthCheckService()->SetServingStatus(false); }

 private:
  grpc::Status Compute(grpc::ServerContext* context, const v1::ComputeRequest* request,
                       v1::ComputeResponse* response) override {
    response->set_request_id(request->request_id());
    return handler_({*context, *request, *response, calls_++});
  }

  grpc::Status GetServerInfo(grpc::ServerContext* /*context*/,
                             const v1::GetServerInfoRequest* /*request*/,
                             v1::GetServerInfoResponse* response) override {
    response->set_version("0.1.0 of a test");
    return grpc::Status::OK;
  }

  const Handler handler_;
  int port_ = 0;
  std::atomic<int> calls_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

grpc::Status Answer(const Asked& /*asked*/) { return grpc::Status::OK; }

// Answers nothing until the client has gone.
grpc::Status Hang(const Asked& asked) {
  while (!asked.context.IsCancelled()) absl::SleepFor(absl::Milliseconds(5));
  return grpc::Status::CANCELLED;
}

Batch SmallBatch() {
  Batch batch;
  batch.predictions = {{"output", at::zeros({1, 1, 2, 2})}};
  batch.labels = at::ones({1, 1, 2, 2});
  return batch;
}

Client Connect(const std::string& target, const ClientOptions& options = {}) {
  absl::StatusOr<Client> client = Client::Connect(target, options);
  EXPECT_TRUE(client.ok()) << client.status();
  if (!client.ok()) std::abort();
  return *std::move(client);
}

absl::Status Compute(const Client& client) { return client.Compute(kPlan, SmallBatch()).status(); }

// ---- Attempts.

TEST(RetryTest, MakesACallAgainThatNobodyLookedAt) {
  FakeServer server([](const Asked& asked) {
    if (asked.earlier == 0) return grpc::Status(grpc::StatusCode::CANCELLED, "stopped");
    if (asked.earlier == 1) return grpc::Status(grpc::StatusCode::UNKNOWN, "Stream removed");
    return grpc::Status::OK;
  });
  const absl::Status status = Compute(Connect(server.address()));
  EXPECT_TRUE(status.ok()) << status;
  EXPECT_EQ(server.calls(), 3);
}

TEST(RetryTest, ReturnsTheErrorWhenItsTimeIsOver) {
  FakeServer server([](const Asked&) { return grpc::Status(grpc::StatusCode::UNAVAILABLE, "no"); });
  const Client impatient = Connect(server.address(), {.retry_timeout = absl::ZeroDuration()});
  EXPECT_EQ(Compute(impatient), absl::UnavailableError("no"));
  EXPECT_EQ(server.calls(), 1);
  const Client patient = Connect(server.address(), {.retry_timeout = absl::Milliseconds(250)});
  EXPECT_EQ(Compute(patient), absl::UnavailableError("no"));
  EXPECT_GT(server.calls(), 2);
}

// A server's word that it is busy; the request would have fitted.
grpc::Status Busy() {
  google::rpc::Status status;
  status.set_code(static_cast<int>(grpc::StatusCode::RESOURCE_EXHAUSTED));
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_nanos(1'000'000);
  status.add_details()->PackFrom(retry);
  return {grpc::StatusCode::RESOURCE_EXHAUSTED, "full", status.SerializeAsString()};
}

TEST(RetryTest, WaitsOutAFullQueue) {
  constexpr absl::Duration kRetry = absl::Milliseconds(100);
  const absl::Time free = absl::Now() + 6 * kRetry;
  FakeServer server(
      [free](const Asked&) { return absl::Now() < free ? Busy() : grpc::Status::OK; });
  const absl::Status status = Compute(Connect(server.address(), {.retry_timeout = kRetry}));
  EXPECT_TRUE(status.ok()) << status;
  FakeServer full([](const Asked&) { return Busy(); });
  const absl::Time start = absl::Now();
  EXPECT_TRUE(absl::IsResourceExhausted(Compute(
      Connect(full.address(), {.timeout = absl::Milliseconds(700), .retry_timeout = kRetry}))));
  EXPECT_GT(absl::Now() - start, absl::Milliseconds(300));
  FakeServer other([](const Asked&) { return Busy(); });
  Compute(Connect(other.address(), {.retry_timeout = absl::ZeroDuration()})).IgnoreError();
  EXPECT_EQ(other.calls(), 1);
}

TEST(RetryTest, SurvivesARestart) {
  auto server = std::make_unique<FakeServer>(Answer);
  const int port = server->port();
  const Client client = Connect(server->address());
  EXPECT_TRUE(Compute(client).ok());
  server = nullptr;
  const std::jthread restart([&server, port] {
    absl::SleepFor(absl::Milliseconds(400));
    server = std::make_unique<FakeServer>(Answer, port);
  });
  const absl::Status status = Compute(client);
  EXPECT_TRUE(status.ok()) << status;
}

TEST(RetryTest, GivesUpWaitingForAServerThatDoesNotComeBack) {
  auto server = std::make_unique<FakeServer>(Answer);
  const Client client = Connect(server->address(), {.retry_timeout = absl::Milliseconds(300)});
  server = nullptr;
  const absl::Time start = absl::Now();
  EXPECT_TRUE(absl::IsUnavailable(Compute(client)));
  EXPECT_GT(absl::Now() - start, absl::Milliseconds(250));
  EXPECT_LT(absl::Now() - start, kLong);
}

TEST(RetryTest, LeavesAConnectionOnWhichNoAnswerCame) {
  std::vector<std::string> peers;
  FakeServer server([&peers](const Asked& asked) {
    peers.push_back(asked.context.peer());
    return asked.earlier == 1 ? Hang(asked) : grpc::Status::OK;
  });
  const Client client = Connect(server.address(), {.timeout = absl::Milliseconds(300)});
  EXPECT_TRUE(Compute(client).ok());
  EXPECT_TRUE(absl::IsDeadlineExceeded(Compute(client)));
  EXPECT_TRUE(Compute(client).ok());
  ASSERT_EQ(peers.size(), 3);
  EXPECT_EQ(peers[0], peers[1]);
  EXPECT_NE(peers[1], peers[2]);
}

TEST(TimeoutTest, IsTenMinutesUnlessSwitchedOff) {
  absl::Duration left;
  FakeServer server([&left](const Asked& asked) {
    left = absl::FromChrono(asked.context.deadline()) - absl::Now();
    return grpc::Status::OK;
  });
  EXPECT_TRUE(Compute(Connect(server.address())).ok());
  EXPECT_LT(left, absl::Minutes(11));
  EXPECT_GT(left, absl::Minutes(9));
  EXPECT_TRUE(Compute(Connect(server.address(), {.timeout = absl::InfiniteDuration()})).ok());
  EXPECT_GT(left, absl::Hours(24 * 365));
}

TEST(RequestIdTest, IsDrawnAndHasToComeBack) {
  std::vector<std::string> ids;
  FakeServer server([&ids](const Asked& asked) {
    ids.push_back(asked.request.request_id());
    if (asked.earlier == 2) asked.response.set_request_id("somebody-else's");
    return grpc::Status::OK;
  });
  const Client client = Connect(server.address());
  const absl::StatusOr<Result> result = client.Compute(kPlan, SmallBatch());
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->request_id, ids[0]);
  EXPECT_TRUE(Compute(client).ok());
  EXPECT_EQ(ids[0].size(), 16);
  EXPECT_NE(ids[0], ids[1]);
  const absl::Status status = Compute(client);
  EXPECT_TRUE(absl::IsInternal(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("'somebody-else's'"));
}

// ---- Which server.

TEST(TargetsTest, TakeTurnsWithoutThoseThatAreDown) {
  FakeServer first(Answer);
  auto second = std::make_unique<FakeServer>(Answer);
  const Client client = Connect(absl::StrCat(first.address(), ",", second->address()));
  for (int i = 0; i < 200 && (first.calls() < 2 || second->calls() < 2); ++i) {
    EXPECT_TRUE(Compute(client).ok());
    absl::SleepFor(absl::Milliseconds(5));  // Until there is a connection to both.
  }
  EXPECT_GE(first.calls(), 2);
  EXPECT_GE(second->calls(), 2);
  second = nullptr;
  for (int i = 0; i < 4; ++i) EXPECT_TRUE(Compute(client).ok());
}

TEST(TargetsTest, LeaveOutThoseThatDoNotServe) {
  FakeServer serves(Answer);
  FakeServer does_not(Answer);
  does_not.SayThatItDoesNotServe();
  const Client client = Connect(absl::StrCat(does_not.address(), ",", serves.address()));
  for (int i = 0; i < 20; ++i) {
    EXPECT_TRUE(Compute(client).ok());
    absl::SleepFor(absl::Milliseconds(5));
  }
  EXPECT_EQ(does_not.calls(), 0);
}

TEST(ChannelTest, TakesOptions) {
  FakeServer server(Answer);
  EXPECT_TRUE(Connect(server.address()).GetServerInfo().ok());
  const Client client =
      Connect(server.address(), {.channel_options = {{"grpc.max_receive_message_length", 3}}});
  EXPECT_TRUE(absl::IsResourceExhausted(client.GetServerInfo().status()));
}

TEST(ChannelTest, SaysThatAProxyIsInBetween) {
  setenv("http_proxy", "http://127.0.0.1:1", 1);
  const absl::Status status =
      Client::Connect("losses.invalid:1", {.connect_timeout = absl::Milliseconds(20)}).status();
  FakeServer server(Answer);
  EXPECT_TRUE(Compute(Connect(server.address())).ok()) << "no proxy to this machine";
  unsetenv("http_proxy");
  EXPECT_TRUE(absl::IsUnavailable(status)) << status;
  EXPECT_THAT(std::string(status.message()),
              HasSubstr("(through the proxy http_proxy=http://127.0.0.1:1 of the environment)"));
}

// ---- Calls under way.

// All arrive before any is answered, and are asked for in another order.
TEST(SubmitTest, HasSeveralCallsUnderWay) {
  constexpr int kCalls = 4;
  auto* const barrier = new absl::Barrier(kCalls);
  FakeServer server([barrier](const Asked& asked) {
    asked.response.set_total(asked.request.log_vars(0));
    if (barrier->Block()) delete barrier;
    return grpc::Status::OK;
  });
  const Client client = Connect(server.address());
  std::vector<PendingResult> pending;
  for (int i = 0; i < kCalls; ++i) {
    Batch batch = SmallBatch();
    batch.log_vars = {static_cast<double>(i)};
    pending.push_back(client.Submit(kPlan, batch));
  }
  for (int i = kCalls - 1; i >= 0; --i) {
    const absl::StatusOr<Result> result = pending[i].Get();
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_EQ(result->total, i);
    EXPECT_TRUE(pending[i].Done());
    EXPECT_EQ(pending[i].Get()->total, i) << "the same each time";
  }
}

TEST(SubmitTest, LeavesErrorsToTheResult) {
  FakeServer server([](const Asked&) { return grpc::Status(grpc::StatusCode::DATA_LOSS, "x"); });
  const Client client = Connect(server.address());
  EXPECT_EQ(client.Submit(kPlan, SmallBatch()).Get().status(), absl::DataLossError("x"));
  Batch needy = SmallBatch();
  needy.labels.requires_grad_();
  const PendingResult refused = client.Submit(kPlan, needy);
  EXPECT_TRUE(refused.Done());
  EXPECT_EQ(ErrorField(refused.Get().status()), "labels");
}

// Waits until a server has calls.
void AwaitCalls(const FakeServer& server, int calls) {
  for (int i = 0; i < 3000 && server.calls() < calls; ++i) absl::SleepFor(absl::Milliseconds(10));
  ASSERT_EQ(server.calls(), calls);
}

TEST(SubmitTest, CanBeGivenUp) {
  FakeServer server(Hang);
  const Client client = Connect(server.address());
  PendingResult pending = client.Submit(kPlan, SmallBatch());
  EXPECT_FALSE(pending.Wait(absl::Milliseconds(10)));
  EXPECT_FALSE(pending.Done());
  AwaitCalls(server, 1);
  pending.Cancel();
  EXPECT_TRUE(pending.Wait(kLong));
  EXPECT_EQ(pending.Get().status(), absl::CancelledError("the call was cancelled"));
}

TEST(SubmitTest, CanBeGivenUpBetweenAttempts) {
  google::rpc::RetryInfo retry;
  retry.mutable_retry_delay()->set_seconds(absl::ToInt64Seconds(10 * kLong));
  google::rpc::Status details;
  details.add_details()->PackFrom(retry);
  FakeServer server([&details](const Asked&) {
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "no", details.SerializeAsString());
  });
  const Client client = Connect(server.address(), {.retry_timeout = absl::InfiniteDuration()});
  PendingResult pending = client.Submit(kPlan, SmallBatch());
  AwaitCalls(server, 1);
  EXPECT_FALSE(pending.Wait(absl::Milliseconds(100)));
  pending.Cancel();
  EXPECT_TRUE(pending.Wait(kLong));
  EXPECT_TRUE(absl::IsCancelled(pending.Get().status()));
}

// The server's Hang returns, so the call has ended there, too.
TEST(SubmitTest, IsGivenUpWhenNobodyCanAskForIt) {
  std::atomic<bool> ended = false;
  {
    FakeServer server([&ended](const Asked& asked) {
      const grpc::Status status = Hang(asked);
      ended = true;
      return status;
    });
    const Client client = Connect(server.address());
    PendingResult pending = client.Submit(kPlan, SmallBatch());
    AwaitCalls(server, 1);
    pending = client.Submit(kPlan, SmallBatch());
    for (int i = 0; i < 3000 && !ended; ++i) absl::SleepFor(absl::Milliseconds(10));
    EXPECT_TRUE(ended);
  }
}

TEST(SubmitTest, OutlivesTheClientAsCancelled) {
  FakeServer server(Hang);
  auto client = std::make_unique<Client>(Connect(server.address()));
  const PendingResult pending = client->Submit(kPlan, SmallBatch());
  AwaitCalls(server, 1);
  client = nullptr;
  EXPECT_TRUE(pending.Wait(kLong));
  EXPECT_EQ(pending.Get().status(), absl::CancelledError("the client is gone"));
}

// A server that takes streams, when a test lets it.
class StreamServer : private v1::LossService::Service {
 public:
  StreamServer() {
    grpc::ServerBuilder builder;
    builder.RegisterService(this);
    int port = 0;
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("127.0.0.1:", port);
  }
  ~StreamServer() override { server_->Shutdown(std::chrono::system_clock::now()); }

  const std::string& address() const { return address_; }

  absl::Notification may_read;
  std::string received;  // The bytes of all tensors, once a call is done.

 private:
  using Stream = grpc::ServerReaderWriter<v1::ComputeStreamResponse, v1::ComputeStreamRequest>;

  // Answers with a gradient of the first tensor's size.
  grpc::Status ComputeStream(grpc::ServerContext* context, Stream* stream) override {
    while (!may_read.WaitForNotificationWithTimeout(absl::Milliseconds(5))) {
      if (context->IsCancelled()) return grpc::Status::CANCELLED;
    }
    v1::ComputeStreamRequest message;
    stream->Read(&message);
    v1::ComputeStreamResponse answer;
    answer.mutable_header()->set_request_id(message.header().request_id());
    v1::NamedTensor* gradient = answer.mutable_header()->add_gradients();
    *gradient = message.header().predictions(0);
    while (stream->Read(&message)) received += message.data();
    stream->Write(answer);
    answer.Clear();
    answer.set_data(received.substr(0, received.size() / 2));
    stream->Write(answer);
    return grpc::Status::OK;
  }

  std::string address_;
  std::unique_ptr<grpc::Server> server_;
};

constexpr int64_t kElements = 1 << 20;

// Two tensors of 4 MiB of a number, over memory that tells when it is let go.
Batch LargeBatch(float value, std::atomic<int>* let_go) {
  const auto tensor = [&] {
    auto* const numbers = new std::vector<float>(kElements, value);
    return at::from_blob(numbers->data(), {1, 1, kElements}, [numbers, let_go](void*) {
      std::ranges::fill(*numbers, -1.0F);
      delete numbers;
      ++*let_go;
    });
  };
  Batch batch;
  batch.predictions = {{"output", tensor()}};
  batch.labels = tensor();
  return batch;
}

TEST(SubmitTest, KeepsTensorsAlive) {
  StreamServer server;
  const Client client = Connect(server.address(), {.transport = Transport::kStream});
  std::atomic<int> let_go = 0;
  const PendingResult pending = client.Submit(kPlan, LargeBatch(0.25F, &let_go));
  EXPECT_EQ(let_go, 0);
  server.may_read.Notify();
  const absl::StatusOr<Result> result = pending.Get();
  ASSERT_TRUE(result.ok()) << result.status();
  const std::vector<float> sent(2 * kElements, 0.25F);
  EXPECT_EQ(server.received.size(), sent.size() * sizeof(float));
  EXPECT_EQ(std::memcmp(server.received.data(), sent.data(), server.received.size()), 0);
  // Nobody needs them any more, though the result is still there.
  for (int i = 0; i < 1000 && let_go < 2; ++i) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(let_go, 2);
}

// More than fits into the connection: gRPC holds some of it when the call ends.
TEST(SubmitTest, LetsTensorsGoThatAServerDidNotTake) {
  StreamServer server;
  const Client client = Connect(server.address(), {.transport = Transport::kStream});
  std::atomic<int> let_go = 0;
  client.Submit(kPlan, LargeBatch(0.5F, &let_go)).Wait(absl::Milliseconds(200));
  for (int i = 0; i < 1000 && let_go < 2; ++i) absl::SleepFor(absl::Milliseconds(10));
  EXPECT_EQ(let_go, 2);
}

TEST(ProgressTest, CountsWhatIsSentAndReceived) {
  StreamServer server;
  server.may_read.Notify();
  const Client client = Connect(server.address(), {.transport = Transport::kStream});
  std::atomic<int> let_go = 0;
  std::vector<Progress> seen;
  const auto see = [&seen](const Progress& progress) { seen.push_back(progress); };
  const absl::StatusOr<Result> result =
      client.Compute(kPlan, LargeBatch(0.25F, &let_go), {.progress = see});
  ASSERT_TRUE(result.ok()) << result.status();
  const int64_t tensor = kElements * static_cast<int64_t>(sizeof(float));
  EXPECT_GT(seen.front().sent, 0);
  EXPECT_LT(seen.front().sent, tensor);
  EXPECT_EQ(seen.front().to_send, 2 * tensor);
  EXPECT_EQ(seen.front().to_receive, 0);
  EXPECT_EQ(seen.back().sent, 2 * tensor);
  EXPECT_EQ(seen.back().received, tensor);
  EXPECT_EQ(seen.back().to_receive, tensor);
}

// ---- Forks.

// Runs in a forked process, which is ended when it hangs; whether all was as it should be.
bool InFork(const std::function<bool()>& check) {
  const pid_t child = fork();
  if (child == 0) {
    alarm(20);
    _exit(check() ? 0 : 1);
  }
  int status = 0;
  return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

TEST(ForkTest, IsAnErrorAtOnceInTheChildAndNothingToTheParent) {
  absl::Notification may_answer;
  FakeServer server([&may_answer](const Asked& asked) {
    if (asked.earlier == 0) may_answer.WaitForNotification();
    return grpc::Status::OK;
  });
  auto client = std::make_unique<Client>(Connect(server.address()));
  auto pending = std::make_unique<PendingResult>(client->Submit(kPlan, SmallBatch()));
  AwaitCalls(server, 1);
  const std::vector<std::function<absl::Status()>> uses = {
      [&] { return Compute(*client); },
      [&] { return client->Submit(kPlan, SmallBatch()).Get().status(); },
      [&] { return client->GetServerInfo().status(); }, [&] { return pending->Get().status(); },
      [&] { return Client::Connect(server.address()).status(); }};
  for (size_t i = 0; i < uses.size(); ++i) {
    EXPECT_TRUE(InFork([&] { return absl::IsFailedPrecondition(uses[i]()); })) << i;
  }
  EXPECT_TRUE(InFork([&] {
    pending->Cancel();
    const bool done = pending->Done();
    pending = nullptr;
    client = nullptr;
    return done;
  }));
  may_answer.Notify();
  EXPECT_TRUE(pending->Get().ok());
  EXPECT_TRUE(Compute(*client).ok());
}

}  // namespace
}  // namespace lossd
