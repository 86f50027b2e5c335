#ifndef SERVER_RPC_STATUS_H_
#define SERVER_RPC_STATUS_H_

#include <grpcpp/support/status.h>

#include <cstdint>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace lossd {

// RESOURCE_EXHAUSTED: too many requests wait already; with google.rpc.RetryInfo.
absl::Status QueueFullError();

// DEADLINE_EXCEEDED: a client sent nothing for so long.
absl::Status ReceiveTimeoutError(absl::Duration timeout);

// DEADLINE_EXCEEDED: a client took nothing of its answer for so long.
absl::Status SendTimeoutError(absl::Duration timeout);

// RESOURCE_EXHAUSTED: a request for which so many bytes are never there. Trying again is of no use.
absl::Status TooLargeError(int64_t bytes, int64_t largest);

// UNAVAILABLE: this server is about to stop, another one should be asked.
absl::Status DrainingError();

// The only place where an error becomes gRPC's: the same code and message, and in the details
// google.rpc.ErrorInfo (domain "lossd") always, BadRequest where the error is about a field,
// RetryInfo where a retry makes sense.
//
// Message and field are cut to what fits the 8 KiB of headers that gRPC allows.
grpc::Status ToRpcStatus(const absl::Status& status);

}  // namespace lossd

#endif  // SERVER_RPC_STATUS_H_
