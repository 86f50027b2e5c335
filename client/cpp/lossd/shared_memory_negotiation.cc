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
    v1::LossService::Stub& stub, const Introduction& introduction, absl::Time deadline) {
  const std::lock_guard lock(mutex_);
  if (!found_.has_value()) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(deadline));
    if (absl::Status added = introduction.AddTo(context); !added.ok()) return added;
    v1::GetServerInfoResponse server;
    absl::Status asked = FromRpcStatus(stub.GetServerInfo(&context, {}, &server));
    if (!asked.ok()) return asked;
    found_ = Negotiate(server);
  }
  return *found_;
}

}  // namespace lossd
