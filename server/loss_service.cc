#include "server/loss_service.h"

#include <ATen/ATen.h>
#include <torch/version.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/functional/any_invocable.h"
#include "absl/random/random.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "lossd/base/error.h"
#include "server/rpc_status.h"

namespace lossd {
namespace {

// A full queue empties within some steps of training; a client that comes back sooner only makes it
// fuller.
constexpr absl::Duration kRetryAfter = absl::Milliseconds(250);
constexpr size_t kMaxRequestIdBytes = 128;

std::string NewRequestId() {
  return absl::StrFormat("%016x", absl::Uniform<uint64_t>(absl::BitGen()));
}

absl::Status CheckRequestId(absl::string_view id) {
  if (id.size() > kMaxRequestIdBytes) {
    return FieldError("request_id", absl::StrCat(id.size(), " bytes"),
                      absl::StrCat("at most ", kMaxRequestIdBytes));
  }
  for (const char c : id) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) {
      return FieldError("request_id", "a character that is not printable ASCII or is a space",
                        "printable ASCII without spaces");
    }
  }
  return absl::OkStatus();
}

// How long calls that have been told to stop may take to do so.
constexpr absl::Duration kStopTimeout = absl::Seconds(10);

}  // namespace

// One call on its way through the executor. It lives until gRPC is done with it.
class LossServiceImpl::Call : public grpc::ServerUnaryReactor {
 public:
  using Handler = absl::AnyInvocable<absl::Status(const Call&)>;

  // `method` is a literal.
  Call(LossServiceImpl& service, const grpc::CallbackServerContext& context,
       absl::string_view method, std::string id)
      : service_(service),
        context_(context),
        method_(method),
        id_(std::move(id)),
        cancellation_(absl::FromChrono(context.deadline()), &service.shutdown_) {}

  const std::string& id() const { return id_; }
  absl::Time arrival() const { return arrival_; }
  const Cancellation& cancellation() const { return cancellation_; }

  // Runs `handler` on the executor, unless the call is refused or nobody waits for it any more when
  // its turn comes, and finishes the call with its status. Nothing may be done with the call after.
  void Run(Handler handler) {
    service_.log_.Write(spdlog::level::debug, id_, "received", {{"method", method_}});
    const Executor::Admission admission = service_.executor_.Submit(
        [this, handler = std::move(handler)]() mutable {
          service_.log_.Write(spdlog::level::debug, id_, "begun", {{"method", method_}});
          absl::Status status = cancellation_.status();
          if (status.ok()) status = handler(*this);
          // What it has come to is of no interest if nobody waits for it.
          if (cancellation_.Fired()) status = cancellation_.status();
          End(status);
        },
        &ticket_);
    if (admission == Executor::Admission::kFull) End(QueueFullError(kRetryAfter));
    if (admission == Executor::Admission::kDraining) End(DrainingError());
  }

  // Logs how the call has ended, and answers.
  void End(const absl::Status& status) {
    const double seconds = absl::ToDoubleSeconds(absl::Now() - arrival_);
    const std::string peer = context_.peer();
    if (status.ok()) {
      service_.log_.Write(spdlog::level::info, id_, "done",
                          {{"method", method_}, {"seconds", seconds}, {"client", peer}});
    } else {
      const bool given_up = absl::IsCancelled(status) || absl::IsDeadlineExceeded(status);
      const bool ours = absl::IsInternal(status);
      service_.log_.Write(ours ? spdlog::level::err : spdlog::level::warn, id_,
                          given_up ? "cancelled" : "failed",
                          {{"method", method_},
                           {"code", absl::StatusCodeToString(status.code())},
                           {"error", status.message()},
                           {"seconds", seconds},
                           {"client", peer}});
    }
    Finish(ToRpcStatus(status));
  }

 private:
  // The client is gone, or does not wait any longer.
  void OnCancel() override {
    const bool late = absl::FromChrono(context_.deadline()) <= absl::Now();
    cancellation_.Cancel(late ? absl::DeadlineExceededError("the deadline passed")
                              : absl::CancelledError("cancelled by the client"));
    // In the queue it shall take nobody's place; if it is computed, that comes to its end.
    if (service_.executor_.Withdraw(ticket_)) End(cancellation_.status());
  }

  void OnDone() override { const std::unique_ptr<Call> owner(this); }

  LossServiceImpl& service_;
  const grpc::CallbackServerContext& context_;
  const absl::string_view method_;
  const std::string id_;
  const absl::Time arrival_ = absl::Now();
  Cancellation cancellation_;
  Executor::Ticket ticket_ = 0;
};

LossServiceImpl::LossServiceImpl(const Config& config, Log& log)
    : config_(config),
      start_(absl::Now()),
      log_(log),
      handlers_(config.threads, static_cast<size_t>(config.plan_cache_size)),
      executor_(config.max_concurrent_requests, config.max_queued_requests) {}

grpc::ServerUnaryReactor* LossServiceImpl::Compute(grpc::CallbackServerContext* context,
                                                   const v1::ComputeRequest* request,
                                                   v1::ComputeResponse* response) {
  const absl::Status checked = CheckRequestId(request->request_id());
  const bool named = checked.ok() && !request->request_id().empty();
  auto* const call =
      new Call(*this, *context, "Compute", named ? request->request_id() : NewRequestId());
  if (!checked.ok()) {
    call->End(checked);
    return call;
  }
  call->Run([this, request, response](const Call& running) {
    const absl::Time start = absl::Now();
    response->set_request_id(running.id());
    const absl::Status status = handlers_.Compute(*request, running.cancellation(), response);
    v1::Timings* timings = response->mutable_timings();
    timings->set_queue_seconds(absl::ToDoubleSeconds(start - running.arrival()));
    timings->set_total_seconds(absl::ToDoubleSeconds(absl::Now() - running.arrival()));
    return status;
  });
  return call;
}

grpc::ServerUnaryReactor* LossServiceImpl::GetServerInfo(
    grpc::CallbackServerContext* context, const v1::GetServerInfoRequest* /*request*/,
    v1::GetServerInfoResponse* response) {
  response->set_version(LOSSD_VERSION);
  response->set_torch_version(TORCH_VERSION);
  response->add_devices("cpu");
  response->set_threads(config_.threads);
  response->set_max_concurrent_requests(config_.max_concurrent_requests);
  response->set_max_queued_requests(config_.max_queued_requests);
  response->set_max_request_bytes(config_.max_request_bytes);
  response->set_uptime_seconds(absl::ToDoubleSeconds(absl::Now() - start_));
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(grpc::Status::OK);
  return reactor;
}

grpc::ServerUnaryReactor* LossServiceImpl::ListLosses(grpc::CallbackServerContext* context,
                                                      const v1::ListLossesRequest* /*request*/,
                                                      v1::ListLossesResponse* response) {
  grpc::ServerUnaryReactor* reactor = context->DefaultReactor();
  reactor->Finish(ToRpcStatus(handlers_.ListLosses(response)));
  return reactor;
}

grpc::ServerUnaryReactor* LossServiceImpl::ValidatePlan(grpc::CallbackServerContext* context,
                                                        const v1::ValidatePlanRequest* request,
                                                        v1::ValidatePlanResponse* response) {
  auto* const call = new Call(*this, *context, "ValidatePlan", NewRequestId());
  call->Run([this, request, response](const Call& /*running*/) {
    return handlers_.ValidatePlan(*request, response);
  });
  return call;
}

bool LossServiceImpl::Drain(absl::Duration timeout) {
  if (executor_.Drain(timeout)) return true;
  shutdown_.Cancel(DrainingError());
  executor_.Drain(kStopTimeout);
  return false;
}

}  // namespace lossd
