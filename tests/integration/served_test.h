#ifndef TESTS_INTEGRATION_SERVED_TEST_H_
#define TESTS_INTEGRATION_SERVED_TEST_H_

#include <gtest/gtest.h>
#include <spdlog/spdlog.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lossd/client.h"
#include "server/server.h"

namespace lossd {

// A server in this process, and clients of it.
class ServedTest : public testing::Test {
 protected:
  explicit ServedTest(const spdlog::sink_ptr& log)
      : log_(Log::Format::kText, spdlog::level::debug, log) {
    config_.listen = "127.0.0.1:0";
    config_.threads = 2;
  }

  void Start() {
    absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(config_, log_);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
    // The same when it starts again.
    config_.listen = address_ = absl::StrCat("127.0.0.1:", server_->port());
  }

  Client Connect(const ClientOptions& options) const {
    absl::StatusOr<Client> client = Client::Connect(address_, options);
    EXPECT_TRUE(client.ok()) << client.status();
    return *std::move(client);
  }

  Log log_;
  Config config_;
  std::string address_;
  std::unique_ptr<Server> server_;
};

}  // namespace lossd

#endif  // TESTS_INTEGRATION_SERVED_TEST_H_
