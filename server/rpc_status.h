#ifndef SERVER_RPC_STATUS_H_
#define SERVER_RPC_STATUS_H_

#include <grpcpp/support/status.h>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace lossd {

// RESOURCE_EXHAUSTED: too many requests wait already; with google.rpc.RetryInfo.
absl::Status QueueFullError(absl::Duration retry_after);

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
