#ifndef SERVER_OBSERVABILITY_HTTP_SERVER_H_
#define SERVER_OBSERVABILITY_HTTP_SERVER_H_

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"

struct mg_context;

namespace lossd {

struct HttpAnswer {
  int status = 200;
  std::string type = "text/plain; charset=utf-8";
  std::string body = {};
};

// Answers GET for some paths, any other with 404; civetweb does the rest. What is served is for
// operators: bind it where only they are.
class HttpServer {
 public:
  // By path. Each is called for every request, on any thread, and must not throw.
  using Pages = std::map<std::string, std::function<HttpAnswer()>>;

  // Listens on "host:port", of which 0 takes any. Errors: UNAVAILABLE when that is not to be had.
  static absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& listen, Pages pages);

  // Waits for answers under way.
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  int port() const;

 private:
  explicit HttpServer(Pages pages) : pages_(std::move(pages)) {}

  struct Stop {
    void operator()(mg_context* context) const;
  };

  const Pages pages_;
  std::unique_ptr<mg_context, Stop> context_;
};

}  // namespace lossd

#endif  // SERVER_OBSERVABILITY_HTTP_SERVER_H_
