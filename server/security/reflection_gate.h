#ifndef SERVER_SECURITY_REFLECTION_GATE_H_
#define SERVER_SECURITY_REFLECTION_GATE_H_

#include <grpcpp/support/server_interceptor.h>

#include <memory>

#include "server/security/secrets.h"

namespace lossd {

// Cancels calls of reflection, which is gRPC's own service and asks nobody for a token, where they
// bring none of those that let in. `secrets` must outlive the server.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> ReflectionGate(
    const Secrets& secrets);

}  // namespace lossd

#endif  // SERVER_SECURITY_REFLECTION_GATE_H_
