#ifndef LOSSD_RPC_ERROR_H_
#define LOSSD_RPC_ERROR_H_

#include <grpcpp/support/status.h>

#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace lossd {

// gRPC's status as absl's: same code and message; each google.rpc detail a payload under its type
// URL; the field of a BadRequest where ErrorField finds it, the reason of a lossd's ErrorInfo,
// which all of its errors have, where ErrorReason does.
absl::Status FromRpcStatus(const grpc::Status& status);

// How long the server asks to wait before a repetition (google.rpc.RetryInfo); nothing when it does
// not say.
std::optional<absl::Duration> RetryDelay(const absl::Status& status);

}  // namespace lossd

#endif  // LOSSD_RPC_ERROR_H_
