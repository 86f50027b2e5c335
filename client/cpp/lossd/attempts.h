#ifndef LOSSD_ATTEMPTS_H_
#define LOSSD_ATTEMPTS_H_

#include <grpcpp/client_context.h>

#include <optional>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lossd/call_control.h"
#include "lossd/client_options.h"
#include "lossd/connection.h"

namespace lossd {

// Makes a call, in as many attempts as it takes: computing twice does no harm. After an attempt
// that found nobody, it waits for a server that accepts connections; one that found nobody, or none
// who answered in time, is followed by one on another connection. What came of the last attempt, or
// why the call was given up.
absl::Status MakeAttempts(
    Connections& connections, CallControl& control, const ClientOptions& options,
    absl::FunctionRef<absl::Status(const Connection&, grpc::ClientContext&)> attempt);

// Whether a server is there that has no room for the call at the moment.
bool IsBusy(const absl::Status& error);

// How long to wait before a new attempt after so many failures, the last of which this was; nothing
// when it would be of no use. Drawn at random, so that clients that were refused together do not
// come back together.
std::optional<absl::Duration> RetryPause(const absl::Status& error, int failures);

}  // namespace lossd

#endif  // LOSSD_ATTEMPTS_H_
