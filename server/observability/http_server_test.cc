#include "server/observability/http_server.h"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <string>

#include "absl/strings/str_cat.h"

namespace lossd {
namespace {

using testing::HasSubstr;
using testing::Not;
using testing::StartsWith;

// All that the server says to a request.
std::string Ask(int port, const std::string& method, const std::string& path) {
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  EXPECT_EQ(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof(address)), 0);
  const std::string request = absl::StrCat(method, " ", path, " HTTP/1.1\r\nHost: here\r\n\r\n");
  EXPECT_EQ(send(client, request.data(), request.size(), 0), request.size());
  std::string answer;
  char piece[4096];
  for (ssize_t size = 0; (size = recv(client, piece, sizeof(piece), 0)) > 0;) {
    answer.append(piece, static_cast<size_t>(size));
  }
  close(client);
  return answer;
}

std::unique_ptr<HttpServer> Serve() {
  auto server = HttpServer::Start(
      "127.0.0.1:0", {{"/", [] { return HttpAnswer{.type = "text/html", .body = "<p>here"}; }},
                      {"/ready", [] { return HttpAnswer{.status = 503, .body = "no\n"}; }}});
  EXPECT_TRUE(server.ok()) << server.status();
  return *std::move(server);
}

TEST(HttpServerTest, AnswersForItsPaths) {
  const std::unique_ptr<HttpServer> server = Serve();
  const std::string page = Ask(server->port(), "GET", "/");
  EXPECT_THAT(page, StartsWith("HTTP/1.1 200 OK\r\n"));
  EXPECT_THAT(page, HasSubstr("Content-Type: text/html\r\n"));
  EXPECT_THAT(page, HasSubstr("\r\n\r\n<p>here"));
  EXPECT_THAT(Ask(server->port(), "GET", "/ready"), StartsWith("HTTP/1.1 503 "));
  EXPECT_THAT(Ask(server->port(), "HEAD", "/"), Not(HasSubstr("<p>here")));
}

TEST(HttpServerTest, RefusesTheRest) {
  const std::unique_ptr<HttpServer> server = Serve();
  EXPECT_THAT(Ask(server->port(), "GET", "/etc/passwd"), StartsWith("HTTP/1.1 404 "));
  EXPECT_THAT(Ask(server->port(), "POST", "/"), StartsWith("HTTP/1.1 405 "));
}

TEST(HttpServerTest, SaysWhenAnAddressIsInUse) {
  const std::unique_ptr<HttpServer> server = Serve();
  const auto second = HttpServer::Start(absl::StrCat("127.0.0.1:", server->port()), {});
  ASSERT_FALSE(second.ok());
  EXPECT_THAT(second.status().message(), HasSubstr(absl::StrCat(server->port())));
}

}  // namespace
}  // namespace lossd
