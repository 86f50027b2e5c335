#ifndef SERVER_MEMORY_SHARES_H_
#define SERVER_MEMORY_SHARES_H_

#include <algorithm>
#include <cstdint>

#include "lossd/wire/tensor.h"

namespace lossd {

// How a server's memory budget is shared out.
struct MemoryShares {
  // What gRPC holds of messages that are on their way.
  int64_t transport;
  // Messages of calls that came in one, from their arrival to their answer, and the largest of
  // them.
  int64_t messages;
  int64_t largest_message;
  // Everything else that calls take.
  int64_t calls;
};

// `max_request_bytes`: what a request may have.
constexpr MemoryShares ShareOut(int64_t budget, int64_t max_request_bytes) {
  constexpr int64_t kBesideTensors = int64_t{1} << 20;  // Plan, names, shapes.
  const int64_t transport = budget / 8;
  const int64_t messages = budget / 16;
  return {.transport = transport,
          .messages = messages,
          .largest_message =
              std::min({messages / 2, max_request_bytes + kBesideTensors, kMaxMessageBytes}),
          .calls = budget - transport - messages};
}

}  // namespace lossd

#endif  // SERVER_MEMORY_SHARES_H_
