#ifndef SERVER_SECURITY_SERVICE_GATE_H_
#define SERVER_SECURITY_SERVICE_GATE_H_

#include <grpcpp/support/server_interceptor.h>

#include <memory>

#include "server/security/secrets.h"

namespace lossd {

// Cancels calls of reflection and channelz, which are gRPC's own services and ask nobody for a
// token, where they bring none of those that let in; of reflection all where that is off: a program
// that is linked with it has it. `secrets` must outlive the server.
std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> ServiceGate(
    bool reflection, const Secrets& secrets);

}  // namespace lossd

#endif  // SERVER_SECURITY_SERVICE_GATE_H_
