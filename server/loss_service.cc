#include "server/loss_service.h"

#include <torch/types.h>
#include <torch/version.h>

#include <cstdint>
#include <utility>

#include "absl/random/random.h"
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

// Why nobody waits for a call any more; OK while somebody does.
absl::Status Abandoned(const grpc::CallbackServerContext& context) {
  if (absl::FromChrono(context.deadline()) <= absl::Now()) {
    return absl::DeadlineExceededError("the deadline passed before the computation began");
  }
  if (context.IsCancelled()) return absl::CancelledError("cancelled by the client");
  return absl::OkStatus();
}

}  // namespace

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
  Call call{.context = context,
            .reactor = context->DefaultReactor(),
            .method = "Compute",
            .id = named ? request->request_id() : NewRequestId(),
            .arrival = absl::Now()};
  if (!checked.ok()) {
    Finish(call, checked);
    return call.reactor;
  }
  return Run(std::move(call), [this, request, response](const Call& running) {
    const absl::Time start = absl::Now();
    response->set_request_id(running.id);
    const absl::Status status = handlers_.Compute(*request, response);
    v1::Timings* timings = response->mutable_timings();
    timings->set_queue_seconds(absl::ToDoubleSeconds(start - running.arrival));
    timings->set_total_seconds(absl::ToDoubleSeconds(absl::Now() - running.arrival));
    return status;
  });
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
  Call call{.context = context,
            .reactor = context->DefaultReactor(),
            .method = "ValidatePlan",
            .id = NewRequestId(),
            .arrival = absl::Now()};
  return Run(std::move(call), [this, request, response](const Call& /*running*/) {
    return handlers_.ValidatePlan(*request, response);
  });
}

grpc::ServerUnaryReactor* LossServiceImpl::Run(
    Call call, absl::AnyInvocable<absl::Status(const Call&)> handler) {
  grpc::ServerUnaryReactor* reactor = call.reactor;
  // A copy, for when the executor does not take the job and with it the call.
  const Call refused = call;
  const Executor::Admission admission =
      executor_.Submit([this, call = std::move(call), handler = std::move(handler)]() mutable {
        absl::Status status = Abandoned(*call.context);
        if (status.ok()) status = handler(call);
        Finish(call, status);
      });
  if (admission == Executor::Admission::kFull) Finish(refused, QueueFullError(kRetryAfter));
  if (admission == Executor::Admission::kDraining) Finish(refused, DrainingError());
  return reactor;
}

void LossServiceImpl::Finish(const Call& call, const absl::Status& status) {
  const double seconds = absl::ToDoubleSeconds(absl::Now() - call.arrival);
  const std::string peer = call.context->peer();
  if (status.ok()) {
    log_.Write(spdlog::level::info, call.id, "done",
               {{"method", call.method}, {"seconds", seconds}, {"client", peer}});
  } else {
    const bool ours = absl::IsInternal(status);
    log_.Write(ours ? spdlog::level::err : spdlog::level::warn, call.id, "failed",
               {{"method", call.method},
                {"code", absl::StatusCodeToString(status.code())},
                {"error", status.message()},
                {"seconds", seconds},
                {"client", peer}});
  }
  call.reactor->Finish(ToRpcStatus(status));
}

}  // namespace lossd
