#include "lossd/client.h"

#include <algorithm>
#include <cstdint>
#include <mutex>
#include <set>
#include <utility>

#include "absl/random/random.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "lossd/attempts.h"
#include "lossd/base/error.h"
#include "lossd/call_control.h"
#include "lossd/compute_shared.h"
#include "lossd/compute_streamed.h"
#include "lossd/compute_unary.h"
#include "lossd/connection.h"
#include "lossd/delivery.h"
#include "lossd/messages.h"
#include "lossd/pending_work.h"
#include "lossd/process.h"
#include "lossd/rpc_error.h"
#include "lossd/server_answers.h"
#include "lossd/v1/service.grpc.pb.h"
#include "lossd_rpc/call_metadata.h"

namespace lossd {
namespace {

using Stub = v1::LossService::Stub;

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

// Why there is no connection, which gRPC tells calls alone; empty where it does not know.
std::string WhyNobody(const Connection& connection) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + absl::Milliseconds(100)));
  v1::GetServerInfoResponse answer;
  const grpc::Status asked = connection.stub->GetServerInfo(&context, {}, &answer);
  return asked.error_code() == grpc::StatusCode::UNAVAILABLE
             ? absl::StrCat(": ", asked.error_message())
             : "";
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

}  // namespace

// What a client and its calls under way share.
class Client::Impl {
 public:
  Impl(const std::string& target, const ClientOptions& options)
      : connections_(target, options), options_(options) {}

  const ClientOptions& options() const { return options_; }
  const Process& process() const { return process_; }

  // Waits for a connection.
  absl::Status Connect(const std::string& target);

  // Gives up all calls, and those to come.
  void Close();

  // Makes a computation.
  absl::StatusOr<Result> Compute(const Computation& computation, CallControl& control);

  // Calls `method`.
  template <typename Request, typename Response>
  absl::Status Ask(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                   const Request& request, Response* response);

 private:
  // While it lives, Close gives the call up.
  class UnderWay {
   public:
    UnderWay(Impl& impl, CallControl& control);
    ~UnderWay();
    UnderWay(const UnderWay&) = delete;
    UnderWay& operator=(const UnderWay&) = delete;

   private:
    Impl& impl_;
    CallControl& control_;
  };

  const Process process_;
  Connections connections_;
  const ClientOptions options_;
  std::mutex mutex_;
  std::set<CallControl*> under_way_;  // Guarded by mutex_.
  absl::Status closed_;               // Guarded by mutex_; why it takes no calls any more.
};

Client::Impl::UnderWay::UnderWay(Impl& impl, CallControl& control)
    : impl_(impl), control_(control) {
  const std::lock_guard lock(impl_.mutex_);
  if (!impl_.closed_.ok()) control_.GiveUp(impl_.closed_);
  impl_.under_way_.insert(&control_);
}

Client::Impl::UnderWay::~UnderWay() {
  const std::lock_guard lock(impl_.mutex_);
  impl_.under_way_.erase(&control_);
}

absl::Status Client::Impl::Connect(const std::string& target) {
  const absl::StatusOr<std::shared_ptr<const Connection>> connection = connections_.Get();
  if (!connection.ok()) return connection.status();
  const absl::Time deadline = absl::Now() + options_.connect_timeout;
  if ((*connection)->channel->WaitForConnected(absl::ToChronoTime(deadline))) {
    return absl::OkStatus();
  }
  const absl::Status nobody = absl::UnavailableError(
      absl::StrCat("no server answers at ", target, " within ",
                   absl::FormatDuration(options_.connect_timeout), WhyNobody(**connection)));
  return NamingProxy(nobody, **connection);
}

void Client::Impl::Close() {
  const std::lock_guard lock(mutex_);
  closed_ = absl::CancelledError("the client is gone");
  for (CallControl* control : under_way_) control->GiveUp(closed_);
}

absl::StatusOr<Result> Client::Impl::Compute(const Computation& computation, CallControl& control) {
  const UnderWay under_way(*this, control);
  absl::StatusOr<Result> result = Result();
  const absl::Status status = MakeAttempts(
      connections_, control, options_,
      [&](const Connection& connection, grpc::ClientContext& context) {
        if (!computation.traceparent.empty()) {
          context.AddMetadata(kTraceparentKey, computation.traceparent);
        }
        result = computation.delivery->Attempt(connection, context, computation.progress);
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

template <typename Request, typename Response>
absl::Status Client::Impl::Ask(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&,
                                                            Response*),
                               const Request& request, Response* response) {
  if (absl::Status usable = process_.Check("the client"); !usable.ok()) return usable;
  CallControl control;
  const UnderWay under_way(*this, control);
  return MakeAttempts(
      connections_, control, options_,
      [&](const Connection& connection, grpc::ClientContext& context) {
        response->Clear();
        return FromRpcStatus((connection.stub.get()->*method)(&context, request, response));
      });
}

absl::StatusOr<Client> Client::Connect(const std::string& target, const ClientOptions& options) {
  // In a forked process gRPC would wait for threads that it has not.
  static const Process first_to_connect;
  absl::Status usable = first_to_connect.Check("the first client");
  if (!usable.ok()) return usable;
  Client client(std::make_shared<Impl>(target, options));
  absl::Status connected = client.impl_->Connect(target);
  if (!connected.ok()) return connected;
  return client;
}

Client::Client(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Client::Client(Client&& other) noexcept = default;

Client& Client::operator=(Client&& other) noexcept {
  if (this != &other) {
    LetGo();
    impl_ = std::move(other.impl_);
  }
  return *this;
}

Client::~Client() { LetGo(); }

void Client::LetGo() {
  if (impl_ == nullptr) return;
  if (impl_->process().IsThis()) {
    impl_->Close();
  } else {
    Process::Keep(impl_);
  }
  impl_ = nullptr;
}

absl::StatusOr<Result> Client::Compute(absl::string_view plan, const Batch& batch,
                                       const CallOptions& options) const {
  const std::shared_ptr<Impl> impl = impl_;
  if (absl::Status usable = impl->process().Check("the client"); !usable.ok()) return usable;
  const absl::StatusOr<Computation> computation = Prepare(impl->options(), plan, batch, options);
  if (!computation.ok()) return computation.status();
  CallControl control;
  return impl->Compute(*computation, control);
}

PendingResult Client::Submit(absl::string_view plan, const Batch& batch,
                             const CallOptions& options) const {
  absl::Status usable = impl_->process().Check("the client");
  if (!usable.ok()) return PendingResult(std::make_shared<PendingWork>(usable));
  absl::StatusOr<Computation> prepared = Prepare(impl_->options(), plan, batch, options);
  if (!prepared.ok()) return PendingResult(std::make_shared<PendingWork>(prepared.status()));
  const auto computation = std::make_shared<const Computation>(*std::move(prepared));
  const auto control = std::make_shared<CallControl>();
  return PendingResult(std::make_shared<PendingWork>(control, [impl = impl_, computation, control] {
    return impl->Compute(*computation, *control);
  }));
}

absl::StatusOr<PlanCheck> Client::ValidatePlan(absl::string_view plan) const {
  v1::ValidatePlanRequest request;
  request.mutable_plan()->set_text(std::string(plan));
  v1::ValidatePlanResponse response;
  const absl::Status status = impl_->Ask(&Stub::ValidatePlan, request, &response);
  if (!status.ok()) return status;
  return ReadPlanCheck(response);
}

absl::StatusOr<std::vector<LossDescription>> Client::ListLosses() const {
  v1::ListLossesResponse response;
  const absl::Status status = impl_->Ask(&Stub::ListLosses, v1::ListLossesRequest(), &response);
  if (!status.ok()) return status;
  return ReadLosses(response);
}

absl::StatusOr<ServerInfo> Client::GetServerInfo() const {
  v1::GetServerInfoResponse response;
  const absl::Status status =
      impl_->Ask(&Stub::GetServerInfo, v1::GetServerInfoRequest(), &response);
  if (!status.ok()) return status;
  return ReadServerInfo(response);
}

}  // namespace lossd
