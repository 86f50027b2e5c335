#include "lossd/client.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gmock/gmock.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"

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

TEST_F(RefusalTest, NamesAPredictionThatIsNone) {
  batch_.predictions[0].tensor = at::Tensor();
  EXPECT_EQ(ErrorField(Compute()), "predictions[output]");
}

}  // namespace
}  // namespace lossd
