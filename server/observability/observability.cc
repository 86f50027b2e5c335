#include "server/observability/observability.h"

#include "server/observability/status_page.h"

namespace lossd {

HttpServer::Pages Observability::Pages() const {
  const auto status = [this]() -> HttpAnswer {
    return {.type = "text/html; charset=utf-8",
            .body = StatusPage({.build = build_,
                                .config = config_,
                                .state = state_(),
                                .slow = recent_.Slow(),
                                .failed = recent_.Failed(),
                                .metrics = metrics_.Collect()})};
  };
  const auto metrics = [this]() -> HttpAnswer {
    return {.type = "text/plain; version=0.0.4; charset=utf-8", .body = metrics_.Text()};
  };
  const auto ready = [this]() -> HttpAnswer {
    if (state_().draining) return {.status = 503, .body = "draining\n"};
    return {.body = "ready\n"};
  };
  return {{"/", status},
          {"/metrics", metrics},
          {"/healthz", [] { return HttpAnswer{.body = "alive\n"}; }},
          {"/readyz", ready}};
}

}  // namespace lossd
