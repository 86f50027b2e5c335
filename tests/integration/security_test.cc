// Who is let in, and what the log knows of it, with the C++ SDK.

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/ostream_sink.h>
#include <unistd.h>

#include <fstream>
#include <memory>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "tests/integration/served_test.h"

namespace lossd {
namespace {

using testing::HasSubstr;
using testing::Not;

constexpr char kPlan[] = "[{function: MSELoss}]";
constexpr char kToken[] = "correct-horse-battery";
constexpr char kTraceparent[] = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
constexpr Transport kTransports[] = {Transport::kUnary, Transport::kStream, Transport::kShared};

std::string Pem(const std::string& name) {
  return absl::StrCat(LOSSD_TEST_CERTIFICATES, "/", name);
}

Batch SmallBatch() {
  Batch batch;
  batch.predictions = {{"output", at::ones({1, 1, 2, 3, 4})}};
  batch.labels = at::zeros({1, 1, 2, 3, 4});
  return batch;
}

TlsOptions Trusting() { return {.root_certificates_file = Pem("authority.pem")}; }

class SecurityTest : public ServedTest {
 protected:
  SecurityTest() : ServedTest(std::make_shared<spdlog::sinks::ostream_sink_mt>(lines_)) {}

  void ServeTls(bool to_certified_clients) {
    config_.tls_cert = Pem("server.pem");
    config_.tls_key = Pem("server.key");
    if (to_certified_clients) config_.tls_client_ca = Pem("authority.pem");
    Start();
  }

  void ServeToTokens() {
    config_.token_file = testing::TempDir() + "security_test_tokens";
    std::ofstream(config_.token_file) << "alice:" << kToken << "\n";
    Start();
  }

  // What becomes of a small batch, sent by each transport.
  absl::Status Compute(ClientOptions options, const CallOptions& call = {}) const {
    options.connect_timeout = absl::Seconds(5);
    options.retry_timeout = absl::ZeroDuration();
    for (const Transport transport : kTransports) {
      options.transport = transport;
      const absl::StatusOr<Client> client = Client::Connect(address_, options);
      if (!client.ok()) return client.status();
      if (absl::Status status = client->Compute(kPlan, SmallBatch(), call).status(); !status.ok()) {
        return status;
      }
    }
    return absl::OkStatus();
  }

  // The log, when the server has ended.
  std::string LinesAtTheEnd() {
    server_ = nullptr;
    return lines_.str();
  }

  std::ostringstream lines_;
};

TEST_F(SecurityTest, TlsMakesSureOfTheServer) {
  ServeTls(/*to_certified_clients=*/false);
  EXPECT_TRUE(Compute({.tls = Trusting()}).ok()) << Compute({.tls = Trusting()});
  TlsOptions named = Trusting();
  named.server_name = "localhost";
  EXPECT_TRUE(Compute({.tls = named}).ok());
  named.server_name = "other.example";
  EXPECT_TRUE(absl::IsUnavailable(Compute({.tls = named})));
  const absl::Status unknown =
      Compute({.tls = TlsOptions{.root_certificates_file = Pem("stranger.pem")}});
  EXPECT_TRUE(absl::IsUnavailable(unknown));
  EXPECT_THAT(unknown.message(), HasSubstr("andshake")) << "does not say why";
  EXPECT_TRUE(absl::IsUnavailable(Compute({})));
}

TEST_F(SecurityTest, TlsMakesSureOfTheClient) {
  ServeTls(/*to_certified_clients=*/true);
  EXPECT_TRUE(absl::IsUnavailable(Compute({.tls = Trusting()})));
  TlsOptions foreign = Trusting();
  foreign.certificate_file = Pem("stranger.pem");
  foreign.key_file = Pem("stranger.key");
  EXPECT_TRUE(absl::IsUnavailable(Compute({.tls = foreign})));
  TlsOptions certified = Trusting();
  certified.certificate_file = Pem("client.pem");
  certified.key_file = Pem("client.key");
  EXPECT_TRUE(Compute({.tls = certified, .client = "somebody-else"}).ok());
  EXPECT_THAT(LinesAtTheEnd(), HasSubstr("client=\"client\""));
}

TEST_F(SecurityTest, OptionsThatCannotBeAreNamed) {
  ServeTls(/*to_certified_clients=*/false);
  EXPECT_EQ(ErrorField(Compute({.tls = TlsOptions{.root_certificates_file = "/nowhere"}})),
            "tls.root_certificates_file");
  EXPECT_EQ(ErrorField(Compute({.tls = TlsOptions{.certificate_file = Pem("client.pem")}})),
            "tls.key_file");
  const absl::StatusOr<Client> several =
      Client::Connect(absl::StrCat(address_, ",127.0.0.1:1"), {.tls = Trusting()});
  EXPECT_EQ(ErrorField(several.status()), "tls.server_name");
  EXPECT_EQ(ErrorField(Compute({.tls = Trusting(), .token = "two words"})), "token");
  EXPECT_EQ(ErrorField(Compute({.tls = Trusting(), .token_file = "/nowhere"})), "token_file");
  EXPECT_EQ(ErrorField(Compute({.tls = Trusting(), .client = "two\nlines"})), "client");
  EXPECT_EQ(ErrorField(Compute({.tls = Trusting()}, {.traceparent = "00-0-0-0"})), "traceparent");
}

TEST_F(SecurityTest, OnlyATokenLetsIn) {
  ServeToTokens();
  const absl::Status missing = Compute({});
  EXPECT_TRUE(absl::IsUnauthenticated(missing)) << missing;
  EXPECT_EQ(ErrorReason(missing), "TOKEN_MISSING");
  const absl::Status unknown = Compute({.token = "another-horse-battery"});
  EXPECT_EQ(ErrorReason(unknown), "TOKEN_UNKNOWN");
  EXPECT_TRUE(Compute({.token = kToken}).ok()) << Compute({.token = kToken});
  const std::string path = testing::TempDir() + "security_test_token";
  std::ofstream(path) << kToken << "\n";
  EXPECT_TRUE(Compute({.token_file = path}).ok());
  const std::string lines = LinesAtTheEnd();
  EXPECT_THAT(lines, HasSubstr("client=\"alice\""));
  EXPECT_THAT(lines, Not(HasSubstr("horse")));
}

TEST_F(SecurityTest, TheLogKnowsNamesAndTraces) {
  Start();
  EXPECT_TRUE(Compute({.client = "trainer-7"}, {.traceparent = kTraceparent}).ok());
  EXPECT_TRUE(Compute({}).ok());
  const std::string lines = LinesAtTheEnd();
  EXPECT_THAT(lines, HasSubstr("client=\"trainer-7\""));
  EXPECT_THAT(lines, HasSubstr(absl::StrCat("traceparent=\"", kTraceparent, "\"")));
  EXPECT_THAT(lines, HasSubstr(absl::StrCat("-", getpid(), "\"")));
}

}  // namespace
}  // namespace lossd
