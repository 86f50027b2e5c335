// ComputeStream through a real server: the same answers as Compute, and what becomes of clients
// that lie, fall silent or go.

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <google/rpc/error_details.pb.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/base_sink.h>

#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lossd/base/error.h"
#include "lossd/client.h"
#include "lossd/rpc_error.h"
#include "lossd/v1/service.grpc.pb.h"
#include "lossd/wire/chunk.h"
#include "tests/integration/served_test.h"

namespace lossd {
namespace {

using testing::HasSubstr;

constexpr char kPlan[] = "[{function: WeightedMSELoss}]";

// What the server calls an error for programs.
std::string Reason(const absl::Status& status) {
  google::rpc::ErrorInfo info;
  const auto payload = status.GetPayload("type.googleapis.com/google.rpc.ErrorInfo");
  return payload.has_value() && info.ParseFromString(std::string(*payload)) ? info.reason() : "";
}

// Keeps the lines of the log.
class Lines : public spdlog::sinks::base_sink<std::mutex> {
 public:
  // Waits until there is a line with these words; whether there is one within a minute.
  bool WaitFor(const std::string& words) {
    std::unique_lock lock(lines_mutex_);
    return written_.wait_for(lock, std::chrono::minutes(1), [&] {
      return std::ranges::any_of(lines_,
                                 [&](const auto& line) { return absl::StrContains(line, words); });
    });
  }

 private:
  void sink_it_(const spdlog::details::log_msg& message) override {
    const std::lock_guard lock(lines_mutex_);
    lines_.emplace_back(message.payload.data(), message.payload.size());
    written_.notify_all();
  }
  void flush_() override {}

  std::mutex lines_mutex_;
  std::condition_variable written_;
  std::vector<std::string> lines_;
};

class StreamTest : public ServedTest {
 protected:
  StreamTest() : StreamTest(std::make_shared<Lines>()) {}

  // One that computes one call at a time and lets none wait.
  void StartBusy() {
    config_.max_concurrent_requests = 1;
    config_.max_queued_requests = 0;
    Start();
  }

  Client Connect(Transport transport, absl::Duration retry_timeout = absl::ZeroDuration()) const {
    return ServedTest::Connect({.retry_timeout = retry_timeout, .transport = transport});
  }

  Client ConnectCompressing() const {
    return ServedTest::Connect({.transport = Transport::kStream, .compress = true});
  }

  const std::shared_ptr<Lines> lines_;

 private:
  explicit StreamTest(const std::shared_ptr<Lines>& lines) : ServedTest(lines), lines_(lines) {
    at::manual_seed(0);
  }
};

// ---- The same answers.

class RoundTripTest : public StreamTest {
 protected:
  RoundTripTest() { Start(); }

  static void ExpectSame(const std::vector<NamedTensor>& actual,
                         const std::vector<NamedTensor>& expected) {
    ASSERT_EQ(actual.size(), expected.size());
    for (size_t i = 0; i < actual.size(); ++i) {
      EXPECT_EQ(actual[i].name, expected[i].name);
      EXPECT_EQ(actual[i].tensor.scalar_type(), expected[i].tensor.scalar_type());
      EXPECT_TRUE(at::equal(actual[i].tensor, expected[i].tensor));
    }
  }

  static void ExpectSame(const Result& actual, const Result& expected) {
    EXPECT_EQ(actual.total, expected.total);
    EXPECT_EQ(actual.logs, expected.logs);
    EXPECT_EQ(actual.log_vars_gradient, expected.log_vars_gradient);
    EXPECT_EQ(actual.malis_crop_seed, expected.malis_crop_seed);
    ExpectSame(actual.gradients, expected.gradients);
    ASSERT_EQ(actual.terms.size(), expected.terms.size());
    for (size_t i = 0; i < actual.terms.size(); ++i) {
      ExpectSame(actual.terms[i].gradients, expected.terms[i].gradients);
    }
  }

  // Computes by all transports, and returns what the last brought.
  Result Compare(const std::string& plan, Batch batch) {
    batch.malis_crop_seed = 7;
    const absl::StatusOr<Result> expected = Connect(Transport::kUnary).Compute(plan, batch);
    EXPECT_TRUE(expected.ok()) << expected.status();
    if (!expected.ok()) return {};
    absl::StatusOr<Result> actual;
    for (const Transport transport : {Transport::kStream, Transport::kShared}) {
      actual = Connect(transport).Compute(plan, batch);
      EXPECT_TRUE(actual.ok()) << actual.status();
      if (!actual.ok()) return {};
      ExpectSame(*actual, *expected);
    }
    const absl::StatusOr<Result> compressed = ConnectCompressing().Compute(plan, batch);
    EXPECT_TRUE(compressed.ok()) << compressed.status();
    if (compressed.ok()) ExpectSame(*compressed, *expected);
    return *actual;
  }
};

// Sizes around those of chunks, odd ones, one element.
TEST_F(RoundTripTest, OfAnySize) {
  const std::vector<std::vector<int64_t>> shapes = {
      {1, 1, 1, 1, 1},      {1, 2, 3, 5, 7},    {1, 1, 32, 64, 64},           {1, 1, 1, 1, 131071},
      {1, 1, 1, 1, 131073}, {2, 3, 41, 43, 47}, {1, 1, 4, kChunkBytes / 4, 1}};
  for (const std::vector<int64_t>& shape : shapes) {
    Batch batch;
    batch.predictions = {{"output", at::randn(shape)}};
    batch.labels = at::rand(shape);
    const Result result = Compare(kPlan, batch);
    ASSERT_EQ(result.gradients.size(), 1);
    EXPECT_EQ(result.gradients[0].tensor.sizes(), at::IntArrayRef(shape));
  }
}

TEST_F(RoundTripTest, OfAnyDtype) {
  for (const at::ScalarType prediction : {at::kFloat, at::kHalf, at::kBFloat16}) {
    for (const at::ScalarType label :
         {at::kFloat, at::kDouble, at::kHalf, at::kBFloat16, at::kBool, at::kByte, at::kChar,
          at::kUInt16, at::kShort, at::kUInt32, at::kInt, at::kUInt64, at::kLong}) {
      Batch batch;
      batch.predictions = {{"output", at::randn({2, 1, 5, 7, 11}).to(prediction)}};
      batch.labels = at::randint(0, 2, {2, 1, 5, 7, 11}, at::kLong).to(label);
      Compare(kPlan, batch);
    }
  }
}

TEST_F(RoundTripTest, OfAnyLayout) {
  Batch batch;
  batch.predictions = {{"output", at::randn({2, 9, 10, 11, 3}).permute({0, 4, 1, 2, 3})}};
  batch.labels = at::ones({1}).expand({2, 3, 9, 10, 11});
  batch.mask = at::rand({2, 1, 9, 10, 22}).slice(4, 0, 22, 2);
  Compare(kPlan, batch);
}

TEST_F(RoundTripTest, OfEverythingThatABatchMayHave) {
  const std::string plan =
      "{heads: {aff: {out_channels: 3}, sdt: {out_channels: 1}}, losses: ["
      "{function: WeightedBCEWithLogitsLoss, pred_head: aff, target_slice: '0:3'},"
      "{function: SmoothL1Loss, pred_head: sdt, target_slice: '3'},"
      "{function: MalisLoss, pred_head: aff, target_slice: '0:3', kwargs: {malis_crop_size: 8}}],"
      "loss_balancing: {strategy: uncertainty}}";
  Batch batch;
  batch.predictions = {{"aff", at::randn({2, 3, 9, 10, 11}).to(at::kHalf)},
                       {"sdt", at::randn({2, 1, 9, 10, 11})}};
  batch.labels = at::rand({2, 4, 9, 10, 11}).gt(0.5);
  batch.mask = at::rand({2, 1, 9, 10, 11}).gt(0.1);
  batch.label_mask = at::rand({2, 4, 9, 10, 11}).gt(0.1);
  batch.gt_seg = at::randint(0, 5, {2, 9, 10, 11}, at::kLong).to(at::kUInt16);
  batch.log_vars = {0.1, 0.2, 0.3};
  batch.per_term_gradients = true;
  const Result result = Compare(plan, batch);
  ASSERT_EQ(result.terms.size(), 3);
  EXPECT_EQ(result.terms[1].gradients.size(), 1);
  batch.float32_gradients = true;
  EXPECT_EQ(Compare(plan, batch).gradients[0].tensor.scalar_type(), at::kFloat);
  batch.per_term_gradients = false;
  batch.losses_only = true;
  EXPECT_TRUE(Compare(plan, batch).gradients.empty());
}

// Otherwise gradients would keep more memory than they have.
TEST_F(RoundTripTest, GivesGradientsMemoryOfTheirOwn) {
  Batch batch;
  batch.predictions = {{"a", at::randn({1, 1, 4, 5, 6})}, {"b", at::randn({1, 1, 4, 5, 6})}};
  batch.labels = at::rand({1, 1, 4, 5, 6});
  const std::string plan =
      "{heads: {a: {out_channels: 1}, b: {out_channels: 1}}, losses: ["
      "{function: MSELoss, pred_head: a}, {function: MSELoss, pred_head: b}]}";
  const Result streamed = Compare(plan, batch);
  ASSERT_EQ(streamed.gradients.size(), 2);
  for (const NamedTensor& gradient : streamed.gradients) {
    EXPECT_EQ(gradient.tensor.storage().nbytes(), gradient.tensor.nbytes());
    gradient.tensor.zero_();
  }
  const absl::StatusOr<Result> unary = Connect(Transport::kUnary).Compute(plan, batch);
  ASSERT_TRUE(unary.ok()) << unary.status();
  // A tensor over a part of something else is none that LibTorch could resize.
  EXPECT_TRUE(unary->gradients[1].tensor.storage().resizable());
}

TEST_F(RoundTripTest, SaysWhereTheTimeWent) {
  Batch batch;
  batch.predictions = {{"output", at::randn({1, 1, 4, 5, 6})}};
  batch.labels = at::rand({1, 1, 4, 5, 6});
  const Client client = Connect(Transport::kStream);
  const absl::StatusOr<Result> result = client.Compute(kPlan, batch, {.request_id = "my-call"});
  ASSERT_TRUE(result.ok()) << result.status();
  EXPECT_EQ(result->request_id, "my-call");
  EXPECT_GT(result->timings.compute, absl::ZeroDuration());
  EXPECT_GE(result->timings.total, result->timings.compute);
  const CallTimings& timings = result->timings;
  EXPECT_GT(timings.client_send, absl::ZeroDuration());
  EXPECT_GT(timings.client_receive, absl::ZeroDuration());
  // Server and client may be at work at the same time.
  EXPECT_GE(timings.client_send + timings.network + timings.queue + timings.decode +
                timings.compute + timings.encode + timings.client_receive,
            timings.round_trip);
  // Both tensors one way, the gradient the other; and little else.
  constexpr int64_t kTensor = 4 * 5 * 6 * 4;
  EXPECT_GT(result->bytes.sent, 2 * kTensor);
  EXPECT_LT(result->bytes.sent, 2 * kTensor + 400);
  EXPECT_GT(result->bytes.received, kTensor);
  EXPECT_LT(result->bytes.received, kTensor + 600);
  EXPECT_TRUE(lines_->WaitFor("[my-call] done"));
}

// ---- Clients that are not like the SDKs.

// A call that a test makes message by message. Any language could: it is plain protobuf.
class Stream {
 public:
  explicit Stream(const std::string& address)
      : stub_(v1::LossService::NewStub(
            grpc::CreateChannel(address, grpc::InsecureChannelCredentials()))),
        stream_(stub_->ComputeStream(&context_)) {}

  // Ends the call where it has not ended.
  ~Stream() {
    if (finished_) return;
    context_.TryCancel();
    stream_->Finish();
  }

  void Send(const v1::ComputeStreamRequest& message) { stream_->Write(message); }

  void SendHeader(const v1::ComputeRequest& header) {
    v1::ComputeStreamRequest message;
    *message.mutable_header() = header;
    Send(message);
  }

  void SendChunk(uint32_t tensor, uint64_t offset, const std::string& data) {
    v1::ComputeStreamRequest message;
    message.set_tensor(tensor);
    message.set_offset(offset);
    message.set_data(data);
    Send(message);
  }

  void Close() { stream_->WritesDone(); }
  bool Read(v1::ComputeStreamResponse* message) { return stream_->Read(message); }
  void Cancel() { context_.TryCancel(); }

  // How the call ended, once it has and its messages are read.
  absl::Status Status() {
    v1::ComputeStreamResponse message;
    while (stream_->Read(&message)) continue;
    finished_ = true;
    return FromRpcStatus(stream_->Finish());
  }

 private:
  grpc::ClientContext context_;
  std::unique_ptr<v1::LossService::Stub> stub_;
  std::unique_ptr<grpc::ClientReaderWriter<v1::ComputeStreamRequest, v1::ComputeStreamResponse>>
      stream_;
  bool finished_ = false;
};

// A prediction of that size in float32, and labels in uint8.
v1::ComputeRequest Header(const std::string& id, int64_t size = 2,
                          const std::string& plan = kPlan) {
  v1::ComputeRequest header;
  header.set_request_id(id);
  header.mutable_plan()->set_text(plan);
  v1::NamedTensor* prediction = header.add_predictions();
  prediction->set_name("output");
  prediction->mutable_tensor()->set_dtype(v1::D_TYPE_FLOAT32);
  header.mutable_labels()->set_dtype(v1::D_TYPE_UINT8);
  for (v1::Tensor* tensor : {prediction->mutable_tensor(), header.mutable_labels()}) {
    for (const int64_t extent : {int64_t{1}, int64_t{3}, size, size, size}) {
      tensor->add_shape(extent);
    }
  }
  return header;
}

// Sends both tensors of such a header, drawn at random, and ends the client's side.
void SendTensors(Stream& stream, int64_t size) {
  const std::vector<int64_t> shape = {1, 3, size, size, size};
  const at::Tensor tensors[] = {at::randn(shape), at::rand(shape).gt(0.3).to(at::kByte)};
  ChunkCutter cutter(
      {static_cast<int64_t>(tensors[0].nbytes()), static_cast<int64_t>(tensors[1].nbytes())});
  while (const std::optional<Chunk> chunk = cutter.Next()) {
    const auto* const bytes = static_cast<const char*>(tensors[chunk->tensor].const_data_ptr());
    stream.SendChunk(static_cast<uint32_t>(chunk->tensor), chunk->offset,
                     std::string(bytes + chunk->offset, chunk->size));
  }
  stream.Close();
}

// What takes many seconds on a volume of that size.
constexpr int64_t kLong = 128;
std::string LongPlan() {
  std::string plan = "[{function: MalisLoss}";
  for (int i = 0; i < 19; ++i) absl::StrAppend(&plan, ", {function: MalisLoss}");
  return plan + "]";
}

constexpr uint64_t kPredictionBytes = 3 * 8 * 4;  // Of Header("").
constexpr uint64_t kLabelBytes = 3 * 8;

class RawStreamTest : public StreamTest {
 protected:
  // Waits until a call gets through, with a server that computes one at a time.
  void ExpectFree() {
    Batch batch;
    batch.predictions = {{"output", at::zeros({1, 1, 2, 2, 2})}};
    batch.labels = at::zeros({1, 1, 2, 2, 2});
    const absl::StatusOr<Result> result =
        Connect(Transport::kUnary, absl::Minutes(1)).Compute(kPlan, batch);
    EXPECT_TRUE(result.ok()) << result.status();
  }
};

// Only the header is sent: so the answer to it waited for no byte of data.
TEST_F(RawStreamTest, RefusesWhatTheHeaderForbidsAtOnce) {
  config_.max_request_bytes = 4 << 20;
  Start();
  const auto refused = [this](const v1::ComputeRequest& header) {
    Stream stream(address_);
    stream.SendHeader(header);
    return stream.Status();
  };
  EXPECT_EQ(ErrorField(refused(Header("two words"))), "request_id");
  EXPECT_EQ(ErrorField(refused(Header("", 2, "[{function: MSELoss, weigth: 1}]"))),
            "losses[0].weigth");
  v1::ComputeRequest header = Header("");
  header.mutable_labels()->set_dtype(v1::D_TYPE_UNSPECIFIED);
  EXPECT_EQ(ErrorField(refused(header)), "labels.dtype");
  header = Header("");
  header.mutable_labels()->set_shape(0, 7);
  EXPECT_EQ(ErrorField(refused(header)), "labels.shape");
  header = Header("");
  header.mutable_labels()->set_data(std::string(kLabelBytes, '\0'));
  EXPECT_EQ(ErrorField(refused(header)), "labels.data");
  header = Header("");
  header.set_stage(std::string(2 << 20, 's'));
  EXPECT_EQ(ErrorField(refused(header)), "header");
  // A petabyte: nobody may try to have memory for it.
  const absl::Status too_large = refused(Header("", 1 << 16));
  EXPECT_TRUE(absl::IsResourceExhausted(too_large)) << too_large;
  EXPECT_THAT(std::string(too_large.message()), HasSubstr("max_request_bytes"));
  EXPECT_FALSE(RetryDelay(too_large).has_value());
}

TEST_F(RawStreamTest, RefusesAnAnswerBeyondTheLimitAtOnce) {
  config_.max_request_bytes = 1 << 20;
  Start();
  v1::ComputeRequest header = Header("", 32, "[{function: MSELoss}, {function: L1Loss}]");
  header.mutable_predictions(0)->mutable_tensor()->set_dtype(v1::D_TYPE_FLOAT16);
  header.set_per_term_gradients(true);
  header.set_gradient_dtype(v1::D_TYPE_FLOAT32);
  Stream stream(address_);
  stream.SendHeader(header);
  EXPECT_EQ(ErrorField(stream.Status()), "per_term_gradients");
}

TEST_F(RawStreamTest, RefusesLies) {
  Start();
  const std::string prediction(kPredictionBytes, '\0');
  const std::string labels(kLabelBytes, '\0');
  struct Lie {
    std::function<void(Stream&)> tell;
    std::string field;
  };
  const std::vector<Lie> lies = {{[&](Stream& s) { s.SendChunk(1, 0, labels); }, "tensor"},
                                 {[&](Stream& s) { s.SendChunk(7, 0, labels); }, "tensor"},
                                 {[&](Stream& s) { s.SendChunk(0, 1, "x"); }, "offset"},
                                 {[&](Stream& s) { s.SendChunk(0, ~uint64_t{0}, "x"); }, "offset"},
                                 {[&](Stream& s) { s.SendChunk(0, 0, prediction + "x"); }, "data"},
                                 {[&](Stream& s) { s.SendChunk(0, 0, ""); }, "data"},
                                 {[&](Stream& s) {
                                    s.SendChunk(0, 0, "xx");
                                    s.SendChunk(0, 1, "x");
                                  },
                                  "offset"},
                                 {[&](Stream& s) { s.SendHeader(Header("")); }, "header"},
                                 {[&](Stream& s) { s.Close(); }, "predictions[output].data"},
                                 {[&](Stream& s) {
                                    s.SendChunk(0, 0, prediction);
                                    s.SendChunk(1, 0, labels.substr(1));
                                    s.Close();
                                  },
                                  "labels.data"},
                                 {[&](Stream& s) {
                                    s.SendChunk(0, 0, prediction);
                                    s.SendChunk(1, 0, labels);
                                    s.SendChunk(1, kLabelBytes, "x");
                                  },
                                  "tensor"}};
  for (size_t i = 0; i < lies.size(); ++i) {
    Stream stream(address_);
    stream.SendHeader(Header(""));
    lies[i].tell(stream);
    const absl::Status status = stream.Status();
    EXPECT_EQ(ErrorField(status), lies[i].field) << i << ": " << status;
  }
}

TEST_F(RawStreamTest, RefusesAStreamWithoutHeader) {
  Start();
  Stream chunk_first(address_);
  chunk_first.SendChunk(0, 0, "x");
  EXPECT_EQ(ErrorField(chunk_first.Status()), "header");
  Stream nothing(address_);
  nothing.Close();
  EXPECT_EQ(ErrorField(nothing.Status()), "header");
  Stream both(address_);
  v1::ComputeStreamRequest message;
  *message.mutable_header() = Header("");
  message.set_data("x");
  both.Send(message);
  EXPECT_EQ(ErrorField(both.Status()), "data");
}

TEST_F(RawStreamTest, ChecksWhatTheTensorsHold) {
  Start();
  v1::ComputeRequest header = Header("");
  header.mutable_labels()->set_dtype(v1::D_TYPE_BOOL);
  Stream stream(address_);
  stream.SendHeader(header);
  stream.SendChunk(0, 0, std::string(kPredictionBytes, '\0'));
  stream.SendChunk(1, 0, std::string(kLabelBytes, '\2'));
  stream.Close();
  EXPECT_EQ(ErrorField(stream.Status()), "labels.data");
}

// What comes in is counted like what waits, so that a burst of headers cannot take all memory.
TEST_F(RawStreamTest, ACallHasItsPlaceFromTheHeaderOn) {
  StartBusy();
  Stream first(address_);
  first.SendHeader(Header("first"));
  ASSERT_TRUE(lines_->WaitFor("[first] received"));
  {
    Stream second(address_);
    second.SendHeader(Header("second"));
    const absl::Status full = second.Status();
    EXPECT_EQ(Reason(full), "QUEUE_FULL") << full;
    EXPECT_TRUE(RetryDelay(full).has_value());
  }
  SendTensors(first, 2);
  EXPECT_TRUE(first.Status().ok());
  ExpectFree();
}

// ---- Clients that fall silent or go.

TEST_F(RawStreamTest, RefusesAClientThatFallsSilent) {
  config_.receive_timeout = 0.1;
  StartBusy();
  Stream without_header(address_);
  EXPECT_EQ(Reason(without_header.Status()), "RECEIVE_TIMEOUT");
  Stream stream(address_);
  stream.SendHeader(Header(""));
  stream.SendChunk(0, 0, "x");
  const absl::Status status = stream.Status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr("receive_timeout"));
  ExpectFree();
}

// Slower in all than the timeout allows between two messages.
TEST_F(RawStreamTest, BearsWithASlowClient) {
  config_.receive_timeout = 1;
  Start();
  Stream stream(address_);
  stream.SendHeader(Header(""));
  for (uint64_t i = 0; i < 6; ++i) {
    absl::SleepFor(absl::Milliseconds(300));
    stream.SendChunk(0, i * kPredictionBytes / 6, std::string(kPredictionBytes / 6, '\0'));
  }
  stream.SendChunk(1, 0, std::string(kLabelBytes, '\0'));
  stream.Close();
  v1::ComputeStreamResponse answer;
  ASSERT_TRUE(stream.Read(&answer));
  EXPECT_GE(answer.header().timings().receive_seconds(), 1.5);
  const absl::Status status = stream.Status();
  EXPECT_TRUE(status.ok()) << status;
}

TEST_F(RawStreamTest, NoticesThatAClientGoesWhileItSends) {
  StartBusy();
  Stream stream(address_);
  stream.SendHeader(Header("gone"));
  stream.SendChunk(0, 0, "x");
  ASSERT_TRUE(lines_->WaitFor("[gone] received"));
  stream.Cancel();
  EXPECT_TRUE(lines_->WaitFor("[gone] cancelled"));
  ExpectFree();
}

TEST_F(RawStreamTest, StopsComputingForAClientThatGoes) {
  StartBusy();
  Stream stream(address_);
  stream.SendHeader(Header("gone", kLong, LongPlan()));
  SendTensors(stream, kLong);
  ASSERT_TRUE(lines_->WaitFor("[gone] begun"));
  stream.Cancel();
  const absl::Time start = absl::Now();
  EXPECT_TRUE(lines_->WaitFor("[gone] cancelled"));
  EXPECT_LT(absl::Now() - start, absl::Seconds(2));
  ExpectFree();
}

TEST_F(RawStreamTest, LeavesTheQueueForAClientThatGoes) {
  config_.max_concurrent_requests = 1;
  config_.max_queued_requests = 1;
  Start();
  Stream first(address_);
  first.SendHeader(Header("first", kLong, LongPlan()));
  SendTensors(first, kLong);
  ASSERT_TRUE(lines_->WaitFor("[first] begun"));
  Stream second(address_);
  second.SendHeader(Header("second", kLong, LongPlan()));
  SendTensors(second, kLong);
  ASSERT_TRUE(lines_->WaitFor("[second] received"));
  // Whether it is in the queue or not quite there yet.
  second.Cancel();
  EXPECT_TRUE(lines_->WaitFor("[second] cancelled"));
  EXPECT_FALSE(second.Status().ok());
  first.Cancel();
}

// More than connections buffer: the server is stuck in it.
TEST_F(RawStreamTest, StopsSendingToAClientThatGoes) {
  Start();
  constexpr int64_t kSize = 160;
  Stream stream(address_);
  stream.SendHeader(Header("gone", kSize));
  SendTensors(stream, kSize);
  v1::ComputeStreamResponse message;
  ASSERT_TRUE(stream.Read(&message));
  ASSERT_TRUE(message.has_header());
  stream.Cancel();
  EXPECT_TRUE(lines_->WaitFor("[gone] cancelled"));
}

TEST_F(RawStreamTest, OutlivesClientsThatGoAtAnyMoment) {
  config_.max_queued_requests = 2;
  Start();
  {
    std::vector<std::jthread> callers;
    for (int caller = 0; caller < 4; ++caller) {
      callers.emplace_back([this] {
        absl::BitGen random;
        for (int i = 0; i < 75; ++i) {
          Stream stream(address_);
          const std::jthread canceller([&stream, pause = absl::Uniform(random, 0, 8000)] {
            absl::SleepFor(absl::Microseconds(pause));
            stream.Cancel();
          });
          const int64_t size = absl::Uniform(random, 2, 40);
          stream.SendHeader(Header("", size, "[{function: MalisLoss}]"));
          SendTensors(stream, size);
          (void)stream.Status();
        }
      });
    }
  }
  // None of them has left anything behind.
  EXPECT_TRUE(server_->Drain());
}

TEST_F(RawStreamTest, StoppingServerDoesNotWaitForWhatDoesNotCome) {
  config_.drain_timeout = 0.1;
  Start();
  Stream stream(address_);
  stream.SendHeader(Header("slow"));
  ASSERT_TRUE(lines_->WaitFor("[slow] received"));
  const absl::Time start = absl::Now();
  EXPECT_FALSE(server_->Drain());
  EXPECT_LT(absl::Now() - start, absl::Seconds(8));
  const absl::Status status = stream.Status();
  EXPECT_EQ(Reason(status), "DRAINING") << status;
}

TEST_F(RawStreamTest, ADrainingServerFinishesWhatItIsReceiving) {
  Start();
  Stream stream(address_);
  stream.SendHeader(Header("late"));
  ASSERT_TRUE(lines_->WaitFor("[late] received"));
  auto drained = std::async(std::launch::async, [this] { return server_->Drain(); });
  // Once others are refused it drains.
  for (bool refused = false; !refused;) {
    Stream other(address_);
    other.SendHeader(Header("other"));
    SendTensors(other, 2);
    refused = Reason(other.Status()) == "DRAINING";
  }
  SendTensors(stream, 2);
  EXPECT_TRUE(stream.Status().ok());
  EXPECT_TRUE(drained.get());
}

// ---- The SDK with servers that do not let it finish.

TEST_F(StreamTest, TheSdkReportsWhyItCouldNotSendAll) {
  Start();
  Batch batch;
  batch.predictions = {{"output", at::zeros({1, 3, 128, 128, 128})}};
  batch.labels = at::zeros({1, 3, 128, 128, 128}, at::kByte);
  const Client client = Connect(Transport::kAuto);
  EXPECT_EQ(ErrorField(client.Compute("[{function: MSELos}]", batch).status()),
            "losses[0].function");
  batch.labels = at::zeros({2, 3, 64, 128, 128}, at::kByte);
  EXPECT_EQ(ErrorField(client.Compute(kPlan, batch).status()), "labels.shape");
}

TEST_F(StreamTest, TheSdkWaitsForAPlace) {
  StartBusy();
  auto first = std::make_unique<Stream>(address_);
  first->SendHeader(Header("first"));
  ASSERT_TRUE(lines_->WaitFor("[first] received"));
  Batch batch;
  batch.predictions = {{"output", at::zeros({1, 3, 64, 64, 64})}};
  batch.labels = at::zeros({1, 3, 64, 64, 64}, at::kByte);
  EXPECT_EQ(Reason(Connect(Transport::kStream).Compute(kPlan, batch).status()), "QUEUE_FULL");
  auto waiting = std::async(std::launch::async, [&] {
    return Connect(Transport::kStream, absl::Minutes(1))
        .Compute(kPlan, batch, {.request_id = "patient"})
        .status();
  });
  ASSERT_TRUE(lines_->WaitFor("[patient] failed"));
  first.reset();
  EXPECT_TRUE(waiting.get().ok());
}

TEST_F(StreamTest, TheSdkKeepsItsDeadline) {
  Start();
  Batch batch;
  batch.predictions = {{"output", at::randn({1, 3, 128, 128, 128})}};
  batch.labels = at::rand({1, 3, 128, 128, 128}).gt(0.3);
  const absl::StatusOr<Client> client = Client::Connect(
      address_, {.timeout = absl::Milliseconds(300), .transport = Transport::kStream});
  ASSERT_TRUE(client.ok()) << client.status();
  const absl::Status status = client->Compute(LongPlan(), batch, {.request_id = "late"}).status();
  EXPECT_TRUE(absl::IsDeadlineExceeded(status)) << status;
  EXPECT_TRUE(lines_->WaitFor("[late] cancelled"));
}

}  // namespace
}  // namespace lossd
