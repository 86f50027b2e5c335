#include "lossd/client.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "lossd/base/error.h"
#include "lossd/call_control.h"
#include "lossd/client_calls.h"
#include "lossd/compute_shared.h"
#include "lossd/compute_streamed.h"
#include "lossd/compute_unary.h"
#include "lossd/connection.h"
#include "lossd/delivery.h"
#include "lossd/messages.h"
#include "lossd/pending_work.h"
#include "lossd/process.h"
#include "lossd_rpc/call_metadata.h"

namespace lossd {
namespace {

// From here on what a message costs is little beside what it carries.
constexpr int64_t kLeastStreamedBytes = int64_t{1} << 20;

std::string NewRequestId() {
  return absl::StrFormat("%016x", absl::Uniform<uint64_t>(absl::BitGen()));
}

absl::StatusOr<std::unique_ptr<Delivery>> PrepareDelivery(Transport transport,
                                                          const CallInputs& call) {
  const bool small = TensorBytes(call.batch) < kLeastStreamedBytes;
  if (transport == Transport::kUnary || (transport == Transport::kAuto && small)) {
    return PrepareUnary(call);
  }
  absl::StatusOr<OutgoingRequest> written = WriteOutgoingRequest(call);
  if (!written.ok()) return written.status();
  auto request = std::make_shared<const OutgoingRequest>(*std::move(written));
  if (transport == Transport::kStream) return DeliverStreamed(std::move(request));
  return DeliverShared(std::move(request), /*required=*/transport == Transport::kShared);
}

// A computation that has all it needs of its caller.
struct Computation {
  std::unique_ptr<Delivery> delivery;
  std::string request_id;
  std::string traceparent;
  Delivery::ProgressFunction progress;
  absl::Time start;
  absl::Duration preparation;
};

absl::StatusOr<Computation> Prepare(const ClientOptions& client, absl::string_view plan,
                                    const Batch& batch, const CallOptions& options) {
  const absl::Time start = absl::Now();
  if (absl::Status checked = CheckBatch(batch); !checked.ok()) return checked;
  if (!options.traceparent.empty() && !IsTraceparent(options.traceparent)) {
    return FieldError("traceparent", absl::StrCat(options.traceparent.size(), " bytes"),
                      "version-trace-span-flags as W3C has it");
  }
  const std::string id = options.request_id.empty() ? NewRequestId() : options.request_id;
  absl::StatusOr<std::unique_ptr<Delivery>> delivery = PrepareDelivery(
      client.transport,
      {.plan = plan, .batch = batch, .request_id = id, .compress = client.compress});
  if (!delivery.ok()) return delivery.status();
  return Computation{.delivery = *std::move(delivery),
                     .request_id = id,
                     .traceparent = options.traceparent,
                     .progress = options.progress,
                     .start = start,
                     .preparation = absl::Now() - start};
}

// Completes the timings of a call that is done now.
void FinishTimings(const Computation& computation, CallTimings& timings) {
  timings.round_trip = absl::Now() - computation.start;
  timings.client_send += computation.preparation;
  const absl::Duration server = timings.queue + timings.decode + timings.compute + timings.encode;
  timings.network =
      std::max(timings.round_trip - timings.client_send - timings.client_receive - server,
               absl::ZeroDuration());
}

// Makes a computation.
absl::StatusOr<Result> MakeComputation(ClientCalls& calls, const Computation& computation,
                                       CallControl& control) {
  absl::StatusOr<Result> result = Result();
  const absl::Status status =
      calls.Make(control, [&](const Connection& connection, grpc::ClientContext& context) {
        if (!computation.traceparent.empty()) {
          context.AddMetadata(kTraceparentKey, computation.traceparent);
        }
        result = computation.delivery->Attempt(connection, context, control, computation.progress);
        return result.status();
      });
  if (!status.ok()) return status;
  if (result->request_id != computation.request_id) {
    return absl::InternalError(absl::StrCat("request_id: got the answer to '", result->request_id,
                                            "', expected that to '", computation.request_id, "'"));
  }
  FinishTimings(computation, result->timings);
  return result;
}

}  // namespace

absl::StatusOr<Client> Client::Connect(const std::string& target, const ClientOptions& options) {
  absl::StatusOr<std::shared_ptr<ClientCalls>> calls = ClientCalls::Connect(target, options);
  if (!calls.ok()) return calls.status();
  return Client(*std::move(calls));
}

Client::Client(std::shared_ptr<ClientCalls> calls) : calls_(std::move(calls)) {}
Client::Client(Client&& other) noexcept = default;

Client& Client::operator=(Client&& other) noexcept {
  if (this != &other) {
    LetGo();
    calls_ = std::move(other.calls_);
  }
  return *this;
}

Client::~Client() { LetGo(); }

void Client::LetGo() {
  if (calls_ == nullptr) return;
  if (calls_->process().IsThis()) {
    calls_->Close();
  } else {
    Process::Keep(calls_);
  }
  calls_ = nullptr;
}

absl::StatusOr<Result> Client::Compute(absl::string_view plan, const Batch& batch,
                                       const CallOptions& options) const {
  const std::shared_ptr<ClientCalls> calls = calls_;
  if (absl::Status usable = calls->process().Check("the client"); !usable.ok()) return usable;
  const absl::StatusOr<Computation> computation = Prepare(calls->options(), plan, batch, options);
  if (!computation.ok()) return computation.status();
  CallControl control;
  return MakeComputation(*calls, *computation, control);
}

PendingResult Client::Submit(absl::string_view plan, const Batch& batch,
                             const CallOptions& options) const {
  absl::Status usable = calls_->process().Check("the client");
  if (!usable.ok()) return PendingResult(std::make_shared<PendingWork>(usable));
  absl::StatusOr<Computation> prepared = Prepare(calls_->options(), plan, batch, options);
  if (!prepared.ok()) return PendingResult(std::make_shared<PendingWork>(prepared.status()));
  const auto computation = std::make_shared<const Computation>(*std::move(prepared));
  const auto control = std::make_shared<CallControl>();
  return PendingResult(
      std::make_shared<PendingWork>(control, [calls = calls_, computation, control] {
        return MakeComputation(*calls, *computation, *control);
      }));
}

absl::StatusOr<PlanCheck> Client::ValidatePlan(absl::string_view plan) const {
  return calls_->ValidatePlan(plan);
}

absl::StatusOr<std::vector<LossDescription>> Client::ListLosses() const {
  return calls_->ListLosses();
}

absl::StatusOr<ServerInfo> Client::GetServerInfo() const { return calls_->GetServerInfo(); }

}  // namespace lossd
