#include "server/loss_service.h"

#include <ATen/ATen.h>
#include <grpcpp/grpcpp.h>
#include <grpcpp/impl/codegen/server_callback_handlers.h>
#include <grpcpp/support/byte_buffer.h>
#include <torch/version.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "lossd/base/instruction_sets.h"
#include "server/compute_stream.h"
#include "server/compute_unary.h"
#include "server/rpc_status.h"
#include "server/security/caller.h"

namespace lossd {
namespace {

// How long calls that have been told to stop may take to do so,
constexpr absl::Duration kStopTimeout = absl::Seconds(10);
// and from when on they count as stuck.
constexpr absl::Duration kPatience = absl::Minutes(1);

// How often clients are looked after, at least.
constexpr absl::Duration kWatchPeriod = absl::Milliseconds(250);

Facts BuildFacts() {
  return {{"version", LOSSD_VERSION},
          {"torch", TORCH_VERSION},
          {"grpc", grpc::Version()},
          {"instructions", Word(CurrentInstructionSet())}};
}

// Paths, but nothing of what the files hold.
Facts ConfigFacts(const Config& config) {
  return {{"listen", config.listen},
          {"tls_cert", config.tls_cert},
          {"tls_client_ca", config.tls_client_ca},
          {"token_file", config.token_file},
          {"threads", absl::StrCat(config.threads)},
          {"devices", config.devices},
          {"max_concurrent_requests", absl::StrCat(config.max_concurrent_requests)},
          {"max_queued_requests", absl::StrCat(config.max_queued_requests)},
          {"memory_budget", absl::StrCat(config.memory_budget)},
          {"max_request_bytes", absl::StrCat(config.max_request_bytes)},
          {"max_cost", absl::StrCat(config.max_cost)},
          {"shared_memory", config.shared_memory},
          {"reflection", config.reflection ? "on" : "off"},
          {"channelz", config.channelz ? "on" : "off"},
          {"drain_timeout", absl::StrCat(config.drain_timeout)}};
}

}  // namespace

LossServiceImpl::LossServiceImpl(const Config& config, std::vector<std::unique_ptr<Device>> devices,
                                 const Secrets& secrets, Log& log)
    : config_(config),
      start_(absl::Now()),
      secrets_(secrets),
      log_(log),
      handlers_(config.threads, static_cast<size_t>(config.plan_cache_size),
                config.shared_memory_max_bytes, std::move(devices),
                [&log](const DeviceFacts& lost, const absl::Status& why, bool others) {
                  log.Write(spdlog::level::err, "", "lost a device",
                            {{"device", lost.name}, {"error", why.message()}});
                  if (!others) kill(getpid(), SIGTERM);
                }),
      shares_(ShareOut(config.memory_budget, config.max_request_bytes)),
      kept_(handlers_, shares_.calls),
      memory_(shares_.calls,
              [this](int64_t granted, int64_t reserved) { kept_.MakeRoom(granted, reserved); }),
      messages_(shares_.messages),
      // Each that is stuck keeps a worker, and its right to compute.
      watchdog_(open_calls_, std::min(config.max_concurrent_requests, config.threads), kPatience,
                log),
      watch_(std::min(kWatchPeriod, absl::Seconds(config.receive_timeout) / 4)),
      observability_(
          BuildFacts(), ConfigFacts(config), [this] { return State(); },
          absl::Seconds(config.slow_call)),
      executor_(config.max_concurrent_requests, config.max_queued_requests) {
  constexpr int kCompute = 0;  // Its place among the methods.
  MarkMethodStreamed(kCompute, nullptr);
  MarkMethodRawCallback(
      kCompute, new grpc::internal::CallbackBidiHandler<grpc::ByteBuffer, grpc::ByteBuffer>(
                    [this](grpc::CallbackServerContext* context) {
                      return ComputeUnary::Start(
                          computing(), {.budget = messages_, .largest = shares_.largest_message},
                          *context);
                    }));
}

grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>* LossServiceImpl::ComputeStream(
    grpc::CallbackServerContext* context) {
  return ComputeStream::Start(computing(), *context);
}

grpc::ServerUnaryReactor* LossServiceImpl::GetServerInfo(
    grpc::CallbackServerContext* context, const v1::GetServerInfoRequest* /*request*/,
    v1::GetServerInfoResponse* response) {
  return AnswerAtOnce(*context, "GetServerInfo", [this, response] {
    response->set_version(LOSSD_VERSION);
    response->set_torch_version(TORCH_VERSION);
    for (const Devices::State& state : handlers_.devices().states()) {
      v1::Device& device = *response->add_devices();
      device.set_name(state.facts.name);
      device.set_description(state.facts.description);
      device.set_architecture(state.facts.architecture);
      device.set_memory_bytes(state.facts.memory_bytes);
      device.set_in_service(state.in_service);
    }
    response->set_threads(config_.threads);
    response->set_max_concurrent_requests(config_.max_concurrent_requests);
    response->set_max_queued_requests(config_.max_queued_requests);
    response->set_max_request_bytes(config_.max_request_bytes);
    response->set_max_memory_bytes(memory_.largest());
    response->set_max_cost(config_.max_cost);
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

grpc::ServerUnaryReactor* LossServiceImpl::AnswerAtOnce(grpc::CallbackServerContext& context,
                                                        absl::string_view method,
                                                        absl::FunctionRef<absl::Status()> handler) {
  CallRecord record;
  record.method = method;
  record.start = absl::Now();
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
  record.client = caller.identity;
  record.status = status;
  record.total = absl::Now() - record.start;
  observability_.Note(record);
  grpc::ServerUnaryReactor* reactor = context.DefaultReactor();
  reactor->Finish(ToRpcStatus(status));
  return reactor;
}

grpc::ServerUnaryReactor* LossServiceImpl::ValidatePlan(grpc::CallbackServerContext* context,
                                                        const v1::ValidatePlanRequest* request,
                                                        v1::ValidatePlanResponse* response) {
  return AnswerAtOnce(*context, "ValidatePlan", [this, request, response] {
    return handlers_.ValidatePlan(*request, response);
  });
}

ServerState LossServiceImpl::State() const {
  const PlanCache::Use plans = handlers_.plan_use();
  std::vector<DeviceState> devices;
  for (const Devices::State& state : handlers_.devices().states()) {
    devices.push_back({.name = state.facts.name,
                       .description = state.facts.description,
                       .in_service = state.in_service,
                       .requests = state.requests});
  }
  return {.draining = draining_,
          .uptime = absl::Now() - start_,
          .certificate_expires = secrets_.certificate_expires(),
          .threads = config_.threads,
          .connections = connections_.open(),
          .waiting_calls = static_cast<int64_t>(executor_.waiting() + memory_.waiting()),
          .most_waiting_calls = static_cast<int64_t>(executor_.most_waiting()),
          .budget_bytes = shares_.calls,
          .budget_in_use = memory_.reserved(),
          .cached_plans = plans.plans,
          .plan_cache_hits = plans.hits,
          .plan_cache_misses = plans.misses,
          .shared_memory_bytes = handlers_.segments().bytes(),
          .devices = std::move(devices),
          .open_calls = open_calls_.List(),
          .stuck_calls = watchdog_.stuck()};
}

bool LossServiceImpl::Drain(absl::Duration timeout) {
  draining_ = true;
  if (executor_.Drain(timeout)) return true;
  shutdown_.Cancel(DrainingError());
  executor_.Drain(kStopTimeout);
  return false;
}

}  // namespace lossd
