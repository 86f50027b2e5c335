#include "server/security/service_gate.h"

#include <grpcpp/server_context.h>
#include <grpcpp/support/interceptor.h>

#include <map>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "server/security/caller.h"

namespace lossd {
namespace {

class Gate final : public grpc::experimental::Interceptor {
 public:
  // An open one lets in who brings a token, where one is needed; a closed one lets in nobody.
  Gate(bool open, const Secrets& secrets, grpc::experimental::ServerRpcInfo& call)
      : open_(open), secrets_(secrets), call_(call) {}

  void Intercept(grpc::experimental::InterceptorBatchMethods* methods) override {
    using grpc::experimental::InterceptionHookPoints;
    if (methods->QueryInterceptionHookPoint(InterceptionHookPoints::POST_RECV_INITIAL_METADATA) &&
        !LetsIn(*methods->GetRecvInitialMetadata())) {
      // All that an interceptor can do.
      call_.server_context()->TryCancel();
    }
    methods->Proceed();
  }

 private:
  bool LetsIn(const std::multimap<grpc::string_ref, grpc::string_ref>& metadata) const {
    return open_ && IdentifyCaller(metadata, nullptr, "", secrets_.tokens().get()).let_in.ok();
  }

  const bool open_;
  const Secrets& secrets_;
  grpc::experimental::ServerRpcInfo& call_;
};

class GateFactory final : public grpc::experimental::ServerInterceptorFactoryInterface {
 public:
  GateFactory(bool reflection, const Secrets& secrets)
      : reflection_(reflection), secrets_(secrets) {}

  // gRPC's to delete; null leaves a call alone.
  grpc::experimental::Interceptor* CreateServerInterceptor(
      grpc::experimental::ServerRpcInfo* call) override {
    const absl::string_view method = call->method();
    const bool reflection = absl::StartsWith(method, "/grpc.reflection.");
    if (!reflection && !absl::StartsWith(method, "/grpc.channelz.")) return nullptr;
    return new Gate(!reflection || reflection_, secrets_, *call);
  }

 private:
  const bool reflection_;
  const Secrets& secrets_;
};

}  // namespace

std::unique_ptr<grpc::experimental::ServerInterceptorFactoryInterface> ServiceGate(
    bool reflection, const Secrets& secrets) {
  return std::make_unique<GateFactory>(reflection, secrets);
}

}  // namespace lossd
