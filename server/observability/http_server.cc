#include "server/observability/http_server.h"

#include <civetweb.h>

#include <chrono>
#include <future>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace lossd {
namespace {

void Send(mg_connection* connection, const HttpAnswer& answer, bool with_body) {
  const std::string head = absl::StrCat(
      "HTTP/1.1 ", answer.status, " ", mg_get_response_code_text(connection, answer.status),
      "\r\nContent-Type: ", answer.type, "\r\nContent-Length: ", answer.body.size(),
      "\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff"
      "\r\nContent-Security-Policy: default-src 'none'; style-src 'unsafe-inline'"
      "\r\nConnection: close\r\n\r\n");
  mg_write(connection, head.data(), head.size());
  if (with_body) mg_write(connection, answer.body.data(), answer.body.size());
}

// The handler of every request; `pages` are HttpServer::Pages.
int Answer(mg_connection* connection, void* pages) {
  const auto& by_path = *static_cast<const HttpServer::Pages*>(pages);
  const mg_request_info& request = *mg_get_request_info(connection);
  const absl::string_view method = request.request_method;
  HttpAnswer answer;
  const auto page = by_path.find(request.local_uri == nullptr ? "" : request.local_uri);
  if (method != "GET" && method != "HEAD") {
    answer.status = 405;
    answer.body = "GET only\n";
  } else if (page == by_path.end()) {
    answer.status = 404;
    answer.body = "not found\n";
  } else {
    answer = page->second();
  }
  Send(connection, answer, method != "HEAD");
  return answer.status;
}

// As civetweb wants it: a host by itself means any of its ports, and IPv4's is not in brackets.
std::string ListeningPorts(const std::string& listen) {
  const absl::string_view any = "0.0.0.0:";
  const absl::string_view text = listen;
  return std::string(text.substr(0, any.size()) == any ? text.substr(any.size()) : text);
}

int PortOf(const mg_context* context) {
  mg_server_port port{};
  return mg_get_server_ports(context, 1, &port) == 1 ? port.port : 0;
}

// Civetweb sees every two seconds that it shall stop, or when somebody comes.
void Knock(int port) {
  char error[64];
  mg_connection* const visit = mg_connect_client("127.0.0.1", port, 0, error, sizeof(error));
  if (visit != nullptr) mg_close_connection(visit);
}

}  // namespace

void HttpServer::Stop::operator()(mg_context* context) const {
  const int port = PortOf(context);
  std::future<void> stopped = std::async(std::launch::async, [context] { mg_stop(context); });
  // Whoever comes before it is told to stop is of no use.
  do {
    Knock(port);
  } while (stopped.wait_for(std::chrono::milliseconds(20)) != std::future_status::ready);
}

absl::StatusOr<std::unique_ptr<HttpServer>> HttpServer::Start(const std::string& listen,
                                                              Pages pages) {
  std::unique_ptr<HttpServer> server(new HttpServer(std::move(pages)));
  const std::string ports = ListeningPorts(listen);
  // Scrapers and a person: few threads, and none that waits for a client for long.
  const char* options[] = {
      "listening_ports",   ports.c_str(), "num_threads", "3", "request_timeout_ms", "5000",
      "enable_keep_alive", "no",          nullptr};
  mg_init_library(0);
  const mg_callbacks callbacks{};
  server->context_.reset(mg_start(&callbacks, nullptr, options));
  if (server->context_ == nullptr) {
    return absl::UnavailableError(absl::StrCat("http_listen: cannot listen on ", listen,
                                               ": the address is in use or not ours"));
  }
  mg_set_request_handler(server->context_.get(), "**", &Answer,
                         const_cast<Pages*>(&server->pages_));
  return server;
}

HttpServer::~HttpServer() {
  context_.reset();
  mg_exit_library();
}

int HttpServer::port() const { return PortOf(context_.get()); }

}  // namespace lossd
