#ifndef LOSSD_RESULT_H_
#define LOSSD_RESULT_H_

// What a call of the C++ SDK brings.

#include <cstdint>
#include <optional>
#include <string>

#include "absl/time/time.h"
#include "lossd/compute/batch.h"

namespace lossd {

// Where the time of a call went.
struct CallTimings {
  absl::Duration queue;           // In the server: waiting for a worker,
  absl::Duration decode;          // reading tensors and plan,
  absl::Duration compute;         // computing,
  absl::Duration encode;          // writing tensors;
  absl::Duration total;           // all of it, from the arrival of the whole request.
  absl::Duration receive;         // Before that, of a stream: from its header to its last byte.
  absl::Duration client_send;     // At the client: until all was given to the network,
  absl::Duration client_receive;  // and from the answer's beginning on, as far as it is seen.
  absl::Duration network;         // What remains of the round trip, earlier attempts included.
  absl::Duration round_trip;      // At the client, all of it.
};

// What a call had gRPC carry: the sizes of its messages, those of the attempt that succeeded.
struct CallBytes {
  int64_t sent = 0;
  int64_t received = 0;
};

// What a server computed: losses, logs, terms, and the gradient of the total for each prediction,
// in the order, shape and (but for batch.float32_gradients) dtype of its predictions, on the CPU.
// Each gradient has memory of its own.
struct Result : Outcome {
  // Identifies the call in the server's log.
  std::string request_id;
  // The seed from which the server drew crop origins; absent when none was drawn.
  std::optional<uint64_t> malis_crop_seed;
  CallTimings timings;
  CallBytes bytes;
};

}  // namespace lossd

#endif  // LOSSD_RESULT_H_
