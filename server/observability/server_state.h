#ifndef SERVER_OBSERVABILITY_SERVER_STATE_H_
#define SERVER_OBSERVABILITY_SERVER_STATE_H_

#include <cstdint>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace lossd {

// A call under way.
struct OpenCall {
  std::string id;
  std::string client;
  absl::string_view method;
  absl::Time start;
  std::optional<std::thread::native_handle_type> computed_by = {};  // While it is.
  absl::Time given_up = absl::InfiniteFuture();                     // When its client was gone.
};

// A device that computes, or did.
struct DeviceState {
  std::string name;
  std::string description;
  bool in_service;
  int64_t requests;  // That it computes now.
};

// How a server is at a moment.
struct ServerState {
  bool draining = false;
  absl::Duration uptime;
  std::optional<absl::Time> certificate_expires = {};  // Where it speaks TLS.
  int64_t threads = 0;
  int64_t connections = 0;  // Of clients over gRPC.
  int64_t waiting_calls = 0;
  int64_t most_waiting_calls = 0;  // More are refused.
  int64_t budget_bytes = 0;
  int64_t budget_in_use = 0;
  int64_t cached_plans = 0;
  int64_t plan_cache_hits = 0;
  int64_t plan_cache_misses = 0;
  int64_t shared_memory_bytes = 0;
  std::vector<DeviceState> devices;
  std::vector<OpenCall> open_calls;
  int64_t stuck_calls = 0;  // See Watchdog.
};

// Facts that stay as they are, as name and value: build and configuration.
using Facts = std::vector<std::pair<std::string, std::string>>;

}  // namespace lossd

#endif  // SERVER_OBSERVABILITY_SERVER_STATE_H_
