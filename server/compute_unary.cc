#include "server/compute_unary.h"

#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lossd/base/error.h"
#include "lossd_rpc/stream_message.h"
#include "server/rpc_status.h"

namespace lossd {

ComputeUnary* ComputeUnary::Start(const UnarySurroundings& surroundings,
                                  const grpc::CallbackServerContext& context) {
  const std::shared_ptr<ComputeUnary> call(new ComputeUnary(surroundings, context));
  call->self_ = call;
  call->timeout_.Set(absl::ToChronoTime(absl::Now() + surroundings.receive_timeout),
                     [weak = call->weak_from_this()](bool expired) {
                       if (!expired) return;
                       if (const auto alive = weak.lock()) alive->GiveUpReceiving();
                     });
  call->StartRead(&call->incoming_);
  return call.get();
}

ComputeUnary::ComputeUnary(const UnarySurroundings& surroundings,
                           const grpc::CallbackServerContext& context)
    : surroundings_(surroundings),
      context_(context),
      call_(surroundings_.call, context, "Compute",
            [this](const absl::Status& status) { Answer(status); }) {}

bool ComputeUnary::StopReceiving() {
  const std::lock_guard lock(mutex_);
  return std::exchange(receiving_, false);
}

void ComputeUnary::GiveUpReceiving() {
  if (StopReceiving()) End(ReceiveTimeoutError(surroundings_.receive_timeout));
}

void ComputeUnary::OnReadDone(bool ok) {
  if (!StopReceiving()) return;
  timeout_.Cancel();
  absl::Status status;
  if (!ok && context_.IsCancelled()) {
    status = call_.WhyClientIsGone();
  } else if (!ok) {
    status = absl::InvalidArgumentError("no message before the call ended, expected one");
  } else {
    status = Receive();
  }
  if (!status.ok()) return End(status);
  call_.AwaitMemory(announcement_->demand, [this] { Compute(); });
}

absl::Status ComputeUnary::Receive() {
  const auto bytes = static_cast<int64_t>(incoming_.Length());
  if (bytes > surroundings_.max_message_bytes) {
    return WithReason(
        "TOO_LARGE",
        absl::ResourceExhaustedError(absl::StrCat(
            "a message of ", bytes, " bytes: this server takes at most ",
            surroundings_.max_message_bytes,
            " in one, as its memory_budget and max_request_bytes say: larger requests come in "
            "pieces, by ComputeStream")));
  }
  std::optional<MemoryBudget::Reservation> room = surroundings_.messages.TryReserve(bytes);
  if (!room.has_value()) return QueueFullError();
  message_ = *std::move(room);
  if (!ParseMessage(incoming_, request_)) {
    return absl::InvalidArgumentError("the message is no lossd.v1.ComputeRequest");
  }
  incoming_.Clear();
  absl::Status admitted = call_.Identify(request_.request_id());
  if (admitted.ok()) admitted = call_.Admit();
  if (!admitted.ok()) return admitted;
  absl::StatusOr<Announcement> announcement =
      surroundings_.handlers.Announce(request_, surroundings_.limits);
  if (!announcement.ok()) return announcement.status();
  announcement_ = *std::move(announcement);
  call_.Describe(request_);
  return absl::OkStatus();
}

void ComputeUnary::Compute() {
  call_.Run([this] {
    const absl::Status status =
        surroundings_.handlers.Compute(request_, *announcement_, call_.cancellation(), &answer_);
    call_.Sign(answer_);
    return status;
  });
}

void ComputeUnary::Answer(const absl::Status& status) {
  // Others may want the memory while the answer is on its way.
  request_.Clear();
  announcement_.reset();
  message_.ReduceTo(0);
  if (!status.ok()) return End(status);
  outgoing_ = SerializeMessage(answer_);
  answer_.Clear();
  call_.ReleaseAllButAnswer();
  StartWriteAndFinish(&outgoing_, grpc::WriteOptions(), call_.End(absl::OkStatus()));
}

}  // namespace lossd
