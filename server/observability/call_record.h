#ifndef SERVER_OBSERVABILITY_CALL_RECORD_H_
#define SERVER_OBSERVABILITY_CALL_RECORD_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace lossd {

// What a loss has cost in a call.
struct FunctionTime {
  std::string function;  // The loss's name.
  absl::Duration time;
};

// What is told of a call, to whoever runs the server, once it has ended.
struct CallRecord {
  std::string id;
  std::string client;
  absl::string_view method;     // A literal, as
  absl::string_view transport;  // "unary", "stream" or "shm".
  absl::Time start;
  absl::Duration total;  // From then on.
  absl::Status status;

  // Of one that computed; else zero.
  absl::Duration queue;
  absl::Duration receive;
  absl::Duration decode;
  absl::Duration compute;
  absl::Duration encode;
  absl::Duration send;  // Until gRPC had the last of the answer.
  std::vector<FunctionTime> functions;

  int64_t bytes_received = 0;   // Tensors, as they came,
  int64_t bytes_sent = 0;       // and as they went.
  int64_t voxels = 0;           // Of its predictions, all scales and samples.
  uint64_t negative_pairs = 0;  // That MALIS counted,
  uint64_t positive_pairs = 0;  // by its passes.
};

}  // namespace lossd

#endif  // SERVER_OBSERVABILITY_CALL_RECORD_H_
