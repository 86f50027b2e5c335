#include "lossd/shared_memory_negotiation.h"

#include <grpcpp/client_context.h>

#include <utility>

#include "lossd/rpc_error.h"

namespace lossd {
namespace {

absl::StatusOr<std::shared_ptr<SharedSegments>> Negotiate(const v1::GetServerInfoResponse& server) {
  if (server.shared_memory_socket().empty()) {
    return absl::FailedPreconditionError("the server shares no memory");
  }
  absl::StatusOr<std::shared_ptr<SharedSegments>> connected =
      SharedSegments::Connect(server.shared_memory_socket(), server.instance());
  if (connected.ok()) return connected;
  return absl::FailedPreconditionError(connected.status().message());
}

}  // namespace

absl::StatusOr<std::shared_ptr<SharedSegments>> SharedMemoryNegotiation::Get(
    v1::LossService::Stub& stub, const Introduction& introduction, CallControl& control,
    absl::Time deadline) {
  {
    const std::lock_guard lock(mutex_);
    if (found_.has_value()) return *found_;
  }
  // Others may ask at the same time: none waits for another, whose server may stand still.
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(deadline));
  if (absl::Status added = introduction.AddTo(context); !added.ok()) return added;
  v1::GetServerInfoResponse server;
  {
    const CallControl::Attempt under_way(control, context);
    absl::Status asked = FromRpcStatus(stub.GetServerInfo(&context, {}, &server));
    if (!asked.ok()) return asked;
  }
  absl::StatusOr<std::shared_ptr<SharedSegments>> negotiated = Negotiate(server);
  const std::lock_guard lock(mutex_);
  if (!found_.has_value()) found_ = std::move(negotiated);
  return *found_;
}

void SharedMemoryNegotiation::Leave(const std::shared_ptr<SharedSegments>& segments) {
  const std::lock_guard lock(mutex_);
  if (found_.has_value() && found_->ok() && **found_ == segments) found_.reset();
}

void SharedMemoryNegotiation::Refuse(absl::string_view why) {
  const std::lock_guard lock(mutex_);
  found_ = absl::FailedPreconditionError(why);
}

}  // namespace lossd
