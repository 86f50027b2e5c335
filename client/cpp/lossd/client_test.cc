#include "lossd/client.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/v1/service.grpc.pb.h"

namespace lossd {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// What the client refuses by itself: the server there is answers nothing but UNIMPLEMENTED.
class RefusalTest : public testing::Test {
 protected:
  RefusalTest() {
    int port = 0;
    grpc::ServerBuilder builder;
    builder.RegisterService(&service_);
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
    server_ = builder.BuildAndStart();
    address_ = absl::StrCat("127.0.0.1:", port);
    batch_.predictions = {{"output", at::zeros({1, 1, 2, 2}).requires_grad_()}};
    batch_.labels = at::ones({1, 1, 2, 2});
  }

  absl::Status Compute() const {
    const absl::StatusOr<Client> client = Client::Connect(address_, {.transport = transport_});
    return client.ok() ? client->Compute("[{function: MSELoss}]", batch_).status()
                       : client.status();
  }

  v1::LossService::CallbackService service_;
  std::unique_ptr<grpc::Server> server_;
  std::string address_;
  Transport transport_ = Transport::kAuto;
  Batch batch_;
};

TEST_F(RefusalTest, SendsWhatThereIsNothingToSayAgainst) {
  EXPECT_EQ(Compute().code(), absl::StatusCode::kUnimplemented);
}

// gRPC would end the process. Expanded tensors: nothing of that size is ever in memory.
TEST_F(RefusalTest, RefusesARequestThatIsNoMessage) {
  transport_ = Transport::kUnary;
  batch_.predictions[0].tensor = at::zeros({}).expand({1, 1, 1024, 512, 512});
  batch_.labels = at::zeros({}).expand({1, 1, 1024, 1024, 1024});
  const absl::Status status = Compute();
  EXPECT_EQ(ErrorField(status), "labels");
  EXPECT_THAT(std::string(status.message()),
              AllOf(HasSubstr("got 4294967296 bytes of 5368709"), HasSubstr("at most 2147483647")));
  batch_.labels = at::ones({1, 1, 2, 2});
  batch_.predictions[0].tensor = at::zeros({}, at::kHalf).expand({1, 1, 1024, 1024, 1024});
  EXPECT_EQ(ErrorField(Compute()), "predictions[output]");
}

TEST_F(RefusalTest, RefusesToDropAGradient) {
  const at::Tensor needy = at::ones({1, 1, 2, 2}).requires_grad_();
  batch_.labels = needy;
  EXPECT_EQ(ErrorField(Compute()), "labels");
  EXPECT_THAT(std::string(Compute().message()), HasSubstr("labels.detach()"));
  batch_.labels = needy.detach();
  batch_.mask = needy * 1;
  EXPECT_EQ(ErrorField(Compute()), "mask");
  // Where no gradient is wanted, none is dropped.
  const auto sent = absl::StatusCode::kUnimplemented;
  batch_.losses_only = true;
  EXPECT_EQ(Compute().code(), sent);
  batch_.losses_only = false;
  const at::NoGradGuard no_grad;
  EXPECT_EQ(Compute().code(), sent);
}

// A server that takes any stream and answers it as a test says.
class StreamingService : public v1::LossService::Service {
 public:
  using Answer = std::function<grpc::Status(
      grpc::ServerReaderWriter<v1::ComputeStreamResponse, v1::ComputeStreamRequest>&)>;

  explicit StreamingService(Answer answer) : answer_(std::move(answer)) {}

  grpc::Status ComputeStream(grpc::ServerContext* /*context*/,
                             grpc::ServerReaderWriter<v1::ComputeStreamResponse,
                                                      v1::ComputeStreamRequest>* stream) override {
    v1::ComputeStreamRequest message;
    while (stream->Read(&message)) continue;
    return answer_(*stream);
  }

 private:
  const Answer answer_;
};

constexpr char kRequestId[] = "the-call";

// What the client says about that answer.
absl::Status StatusOf(StreamingService::Answer answer) {
  StreamingService service(std::move(answer));
  int port = 0;
  grpc::ServerBuilder builder;
  builder.RegisterService(&service);
  builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port);
  const std::unique_ptr<grpc::Server> server = builder.BuildAndStart();
  Batch batch;
  batch.predictions = {{"output", at::zeros({1, 1, 2, 2})}};
  batch.labels = at::ones({1, 1, 2, 2});
  const absl::StatusOr<Client> client =
      Client::Connect(absl::StrCat("127.0.0.1:", port),
                      {.retry_timeout = absl::ZeroDuration(), .transport = Transport::kStream});
  if (!client.ok()) return client.status();
  return client->Compute("[{function: MSELoss}]", batch, {.request_id = kRequestId}).status();
}

// An answer's header, with a gradient of four bytes.
v1::ComputeStreamResponse AnswerHeader(int64_t size = 4) {
  v1::ComputeStreamResponse message;
  message.mutable_header()->set_request_id(kRequestId);
  v1::NamedTensor* gradient = message.mutable_header()->add_gradients();
  gradient->mutable_tensor()->set_dtype(v1::D_TYPE_UINT8);
  gradient->mutable_tensor()->add_shape(size);
  return message;
}

v1::ComputeStreamResponse AnswerChunk(uint64_t offset, const std::string& data) {
  v1::ComputeStreamResponse message;
  message.set_offset(offset);
  message.set_data(data);
  return message;
}

TEST(StreamedAnswerTest, IsTakenWhenItIsWhole) {
  const absl::Status status = StatusOf([](auto& stream) {
    for (const v1::ComputeStreamResponse& message :
         {AnswerHeader(), AnswerChunk(0, "a"), AnswerChunk(1, "bcd")}) {
      stream.Write(message);
    }
    return grpc::Status::OK;
  });
  EXPECT_TRUE(status.ok()) << status;
}

// The call goes on in some of these cases: the client ends it.
TEST(StreamedAnswerTest, IsAnErrorWhenItIsNone) {
  const std::vector<std::vector<v1::ComputeStreamResponse>> answers = {
      {},
      {AnswerChunk(0, "abcd")},
      {AnswerHeader()},
      {AnswerHeader(), AnswerChunk(0, "abc")},
      {AnswerHeader(), AnswerChunk(1, "bcd"), AnswerChunk(0, "a")},
      {AnswerHeader(), AnswerChunk(0, "abcde")},
      {AnswerHeader(), AnswerChunk(0, "abcd"), AnswerChunk(4, "e")},
      {AnswerHeader(), AnswerHeader()},
      {AnswerHeader(0)},
      {AnswerHeader(int64_t{1} << 60)}};
  for (size_t i = 0; i < answers.size(); ++i) {
    const absl::Status status = StatusOf([&](auto& stream) {
      for (const v1::ComputeStreamResponse& message : answers[i]) stream.Write(message);
      return grpc::Status::OK;
    });
    EXPECT_TRUE(absl::IsInternal(status)) << i << ": " << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("the server's answer: ")) << i;
  }
}

TEST(StreamedAnswerTest, ThatBreaksOffHasTheServersStatus) {
  const absl::Status status = StatusOf([](auto& stream) {
    stream.Write(AnswerHeader());
    return grpc::Status(grpc::StatusCode::DATA_LOSS, "lost");
  });
  EXPECT_EQ(status, absl::DataLossError("lost"));
}

TEST_F(RefusalTest, NamesAPredictionThatIsNone) {
  batch_.predictions[0].tensor = at::Tensor();
  EXPECT_EQ(ErrorField(Compute()), "predictions[output]");
}

}  // namespace
}  // namespace lossd
