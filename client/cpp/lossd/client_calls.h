#ifndef LOSSD_CLIENT_CALLS_H_
#define LOSSD_CLIENT_CALLS_H_

#include <grpcpp/client_context.h>

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lossd/call_control.h"
#include "lossd/client_options.h"
#include "lossd/connection.h"
#include "lossd/process.h"
#include "lossd/server_info.h"
#include "lossd/v1/service.grpc.pb.h"

namespace lossd {

// The part of a Client that needs no tensors, and so no LibTorch, which takes a program a quarter
// of a second to load: the calls that it makes, and what it asks a server about itself.
// Thread-safe.
class ClientCalls {
 public:
  // As Client::Connect.
  static absl::StatusOr<std::shared_ptr<ClientCalls>> Connect(const std::string& target,
                                                              const ClientOptions& options);

  ClientCalls(const std::string& target, const ClientOptions& options)
      : connections_(target, options), options_(options) {}
  ClientCalls(const ClientCalls&) = delete;
  ClientCalls& operator=(const ClientCalls&) = delete;

  const ClientOptions& options() const { return options_; }
  const Process& process() const { return process_; }

  // Gives up all calls, and those to come.
  void Close();

  // Makes a call, in as many attempts as it takes; see MakeAttempts.
  absl::Status Make(
      CallControl& control,
      absl::FunctionRef<absl::Status(const Connection&, grpc::ClientContext&)> attempt);

  // As Client's.
  absl::StatusOr<PlanCheck> ValidatePlan(absl::string_view plan);
  absl::StatusOr<std::vector<LossDescription>> ListLosses();
  absl::StatusOr<ServerInfo> GetServerInfo();

  // Whether the server says by grpc.health.v1 that it serves, as a whole where `service` is empty.
  // NOT_FOUND for a service that it does not have.
  absl::StatusOr<bool> IsServing(const std::string& service);

 private:
  using Stub = v1::LossService::Stub;

  // While it lives, Close gives the call up.
  class UnderWay {
   public:
    UnderWay(ClientCalls& calls, CallControl& control);
    ~UnderWay();
    UnderWay(const UnderWay&) = delete;
    UnderWay& operator=(const UnderWay&) = delete;

   private:
    ClientCalls& calls_;
    CallControl& control_;
  };

  // Waits for a connection.
  absl::Status AwaitConnection(const std::string& target);

  // Makes a call of some other method than Compute, again where that may help.
  absl::Status Ask(absl::FunctionRef<grpc::Status(const Connection&, grpc::ClientContext&)> ask);

  // Calls `method`.
  template <typename Request, typename Response>
  absl::Status Ask(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                   const Request& request, Response* response);

  const Process process_;
  Connections connections_;
  const ClientOptions options_;
  std::mutex mutex_;
  std::set<CallControl*> under_way_;  // Guarded by mutex_.
  absl::Status closed_;               // Guarded by mutex_; why it takes no calls any more.
};

}  // namespace lossd

#endif  // LOSSD_CLIENT_CALLS_H_
