#include "server/loss_service.h"

#include <ATen/ATen.h>
#include <torch/version.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "server/compute_stream.h"
#include "server/rpc_status.h"
#include "server/security/caller.h"

namespace lossd {
namespace {

// How long calls that have been told to stop may take to do so.
constexpr absl::Duration kStopTimeout = absl::Seconds(10);

}  // namespace

// A call of one message each way. It lives until gRPC is done with it.
class LossServiceImpl::UnaryCall : public grpc::ServerUnaryReactor {
 public:
  UnaryCall(LossServiceImpl& service, const grpc::CallbackServerContext& context,
            absl::string_view method)
      : call_(service.surroundings(), context, method,
              [this](const absl::Status& status) { End(status); }) {}

  const Call& call() const { return call_; }

  // Runs `handler` on the executor, unless the call is refused or nobody waits for it any more when
  // its turn comes, and finishes the call with its status. Nothing may be done with it after.
  void Run(const std::string& id, Call::Handler handler) {
    absl::Status status = call_.Identify(id);
    if (status.ok()) status = call_.Admit();
    if (status.ok()) {
      call_.Run(std::move(handler));
    } else {
      End(status);
    }
  }

 private:
  void End(const absl::Status& status) { Finish(call_.End(status)); }
  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { const std::unique_ptr<UnaryCall> owner(this); }

  Call call_;
};

LossServiceImpl::LossServiceImpl(const Config& config, const Secrets& secrets, Log& log)
    : config_(config),
      start_(absl::Now()),
      secrets_(secrets),
      log_(log),
      handlers_(config.threads, static_cast<size_t>(config.plan_cache_size),
                config.shared_memory_max_bytes),
      executor_(config.max_concurrent_requests, config.max_queued_requests) {}

grpc::ServerUnaryReactor* LossServiceImpl::Compute(grpc::CallbackServerContext* context,
                                                   const v1::ComputeRequest* request,
                                                   v1::ComputeResponse* response) {
  auto* const unary = new UnaryCall(*this, *context, "Compute");
  unary->Run(request->request_id(), [this, request, response, &call = unary->call()] {
    const absl::Status status =
        handlers_.Compute(*request, config_.max_request_bytes, call.cancellation(), response);
    call.Sign(*response);
    return status;
  });
  return unary;
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* LossServiceImpl::ComputeStream(
    grpc::CallbackServerContext* context) {
  return ComputeStream::Start({.call = surroundings(),
                               .handlers = handlers_,
                               .max_bytes = config_.max_request_bytes,
                               .receive_timeout = absl::Seconds(config_.receive_timeout)},
                              *context);
}

grpc::ServerUnaryReactor* LossServiceImpl::GetServerInfo(
    grpc::CallbackServerContext* context, const v1::GetServerInfoRequest* /*request*/,
    v1::GetServerInfoResponse* response) {
  return AnswerAtOnce(*context, "GetServerInfo", [this, response] {
    response->set_version(LOSSD_VERSION);
    response->set_torch_version(TORCH_VERSION);
    response->add_devices("cpu");
    response->set_threads(config_.threads);
    response->set_max_concurrent_requests(config_.max_concurrent_requests);
    response->set_max_queued_requests(config_.max_queued_requests);
    response->set_max_request_bytes(config_.max_request_bytes);
    response->set_uptime_seconds(absl::ToDoubleSeconds(absl::Now() - start_));
    response->set_instance(instance_);
    if (config_.shared_memory != kNoSharedMemory) {
      response->set_shared_memory_socket(config_.shared_memory);
    }
    return absl::OkStatus();
  });
}

grpc::ServerUnaryReactor* LossServiceImpl::ListLosses(grpc::CallbackServerContext* context,
                                                      const v1::ListLossesRequest* /*request*/,
                                                      v1::ListLossesResponse* response) {
  return AnswerAtOnce(*context, "ListLosses",
                      [this, response] { return handlers_.ListLosses(response); });
}

grpc::ServerUnaryReactor* LossServiceImpl::AnswerAtOnce(
    grpc::CallbackServerContext& context, absl::string_view method,
    absl::FunctionRef<absl::Status()> handler) const {
  const Caller caller = IdentifyCaller(context, secrets_.tokens().get());
  absl::Status status = caller.let_in;
  if (status.ok()) {
    status = handler();
  } else {
    log_.Write(spdlog::level::warn, "", "failed",
               {{"method", method},
                {"code", absl::StatusCodeToString(status.code())},
                {"error", status.message()},
                {"client", caller.identity},
                {"peer", context.peer()}});
  }
  grpc::ServerUnaryReactor* reactor = context.DefaultReactor();
  reactor->Finish(ToRpcStatus(status));
  return reactor;
}

grpc::ServerUnaryReactor* LossServiceImpl::ValidatePlan(grpc::CallbackServerContext* context,
                                                        const v1::ValidatePlanRequest* request,
                                                        v1::ValidatePlanResponse* response) {
  auto* const unary = new UnaryCall(*this, *context, "ValidatePlan");
  unary->Run("", [this, request, response] { return handlers_.ValidatePlan(*request, response); });
  return unary;
}

bool LossServiceImpl::Drain(absl::Duration timeout) {
  if (executor_.Drain(timeout)) return true;
  shutdown_.Cancel(DrainingError());
  executor_.Drain(kStopTimeout);
  return false;
}

}  // namespace lossd
