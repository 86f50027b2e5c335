#include "server/security/reflection_gate.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/interceptor.h>

#include "absl/strings/match.h"
#include "server/security/caller.h"

namespace lossd {
namespace {

class Gate final : public grpc::experimental::Interceptor {
 public:
  Gate(const Secrets& secrets, grpc::experimental::ServerRpcInfo& call)
      : secrets_(secrets), call_(call) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    using grpc::experimental::InterceptionHookPoints;
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_INITIAL_METADATA) &&
        !IdentifyCaller(*methods->GetRecvInitialMetadata(), nullptr, "", secrets_.tokens().get())
             .let_in.ok()) {
      // All that an interceptor can do.
      call_.server_context()->TryCancel();
    }
    methods->Proceed();
  }

 private:
  const Secrets& secrets_;
  grpc::experimental::ServerRpcInfo& call_;
};

class GateFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  explicit GateFactory(const Secrets& secrets) : secrets_(secrets) {}

  // gRPC's to delete; null leaves a call alone.
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* call) override {
    const bool reflection = absl::StartsWith(call->method(), "/grpc.reflection.");
    return reflection ? new Gate(secrets_, *call) : nullptr;
  }

 private:
  const Secrets& secrets_;
};

}  // namespace

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> ReflectionGate(
    const Secrets& secrets) {
  return std::make_unique<GateFactory>(secrets);
}

}  // namespace lossd
