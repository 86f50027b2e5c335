#include "lossd/attempts.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "absl/random/random.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "lossd/base/error.h"
#include "lossd/rpc_error.h"

namespace lossd {
namespace {

constexpr absl::Duration kFirstPause = absl::Milliseconds(100);
constexpr absl::Duration kLongestPause = absl::Seconds(2);

// What is longer is no limit: gRPC's clock could not count it.
constexpr absl::Duration kForEver = absl::Hours(24 * 366);

absl::Time EndOf(absl::Duration duration) {
  return duration < kForEver ? absl::Now() + duration : absl::InfiniteFuture();
}

void SetDeadline(grpc::ClientContext& context, absl::Time deadline) {
  if (deadline < absl::InfiniteFuture()) context.set_deadline(absl::ToChronoTime(deadline));
}

using Attempt = absl::FunctionRef<absl::Status(const Connection&, grpc::ClientContext&)>;

absl::Status MakeAttempt(Connections& connections, CallControl& control, absl::Time deadline,
                         Attempt attempt) {
  const absl::StatusOr<std::shared_ptr<const Connection>> connection = connections.Get();
  if (!connection.ok()) return connection.status();
  grpc::ClientContext context;
  SetDeadline(context, deadline);
  absl::Status status = (*connection)->introduction.AddTo(context);
  if (!status.ok()) return status;
  {
    const CallControl::Attempt under_way(control, context);
    status = attempt(**connection, context);
  }
  // Nobody is there any more, or without a word.
  if (absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status)) {
    connections.Leave(*connection);
  }
  return NamingProxy(status, **connection);
}

// Waits for a server that accepts connections, without a pause that it may not need; whether there
// was one in time.
bool AwaitServer(Connections& connections, CallControl& control, absl::Time deadline) {
  const absl::Status status =
      MakeAttempt(connections, control, deadline,
                  [](const Connection& connection, grpc::ClientContext& context) {
                    context.set_wait_for_ready(true);
                    v1::GetServerInfoResponse answer;
                    return FromRpcStatus(connection.stub->GetServerInfo(&context, {}, &answer));
                  });
  // Of any other error the next attempt tells.
  return !absl::IsDeadlineExceeded(status);
}

}  // namespace

absl::Status MakeAttempts(Connections& connections, CallControl& control,
                          const ClientOptions& options, Attempt attempt) {
  const absl::Time deadline = EndOf(options.timeout);
  absl::Time last_start = deadline;
  bool outage = false;
  int unknown_segments = 0;
  for (int failures = 0; control.status().ok(); ++failures) {
    const absl::Status status = MakeAttempt(connections, control, deadline, attempt);
    if (status.ok()) return status;
    if (!control.status().ok()) break;
    // The delivery shares other memory next time, and then none.
    if (ErrorReason(status) == "UNKNOWN_SEGMENT" && ++unknown_segments <= 2) continue;
    if (IsBusy(status) && options.retry_timeout > absl::ZeroDuration()) {
      outage = false;
      last_start = deadline;
    } else if (!outage) {
      outage = true;
      last_start = std::min(deadline, EndOf(options.retry_timeout));
    }
    const std::optional<absl::Duration> pause = RetryPause(status, failures);
    if (!pause.has_value() || absl::Now() + *pause >= last_start) return status;
    control.Sleep(*pause);
    if (absl::IsUnavailable(status) && !AwaitServer(connections, control, last_start)) {
      return control.status().ok() ? status : control.status();
    }
  }
  return control.status();
}

bool IsBusy(const absl::Status& error) {
  if (!absl::IsResourceExhausted(error)) return false;
  // Any other of this code is of a message that is too large, and stays so. What gRPC itself gives
  // up on a server whose memory is full, the server has not seen.
  const bool given_up =
      !ErrorReason(error).has_value() && absl::StrContains(error.message(), "RST_STREAM");
  return given_up || RetryDelay(error).has_value();
}

std::optional<absl::Duration> RetryPause(const absl::Status& error, int failures) {
  const absl::Duration backoff = std::min(kFirstPause * std::exp2(failures), kLongestPause);
  const absl::Duration pause = backoff * absl::Uniform(absl::BitGen(), 0.5, 1.0);
  const std::optional<absl::Duration> asked = RetryDelay(error);
  const bool of_ours = ErrorReason(error).has_value();
  if (absl::IsUnavailable(error) || IsBusy(error)) {
    return pause + asked.value_or(absl::ZeroDuration());
  }
  // The way to the server, or this process, stood still for a while.
  if (ErrorReason(error) == "RECEIVE_TIMEOUT") return pause;
  // Nobody here cancelled: that is a server, or a balancer, that stopped.
  if (absl::IsCancelled(error) && !of_ours) return pause;
  if (absl::IsUnknown(error) && !of_ours && absl::StrContains(error.message(), "Stream removed")) {
    return pause;
  }
  return std::nullopt;
}

}  // namespace lossd
