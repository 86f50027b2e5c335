#include "server/compute_unary.h"

#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd_rpc/stream_message.h"
#include "server/rpc_status.h"

namespace lossd {

ComputeUnary* ComputeUnary::Start(const ComputeSurroundings& surroundings,
                                  const MessageLimits& messages,
                                  const grpc::CallbackServerContext& context) {
  const std::shared_ptr<ComputeUnary> call(new ComputeUnary(surroundings, messages, context));
  // A message that comes for nothing would take from those who are computed.
  if (const absl::Status outlook = call->call_.Outlook(); !outlook.ok()) {
    call->Refuse(outlook);
  } else {
    call->Begin();
  }
  return call.get();
}

void ComputeUnary::OnReadDone(bool ok) {
  {
    const std::lock_guard lock(mutex_);
    if (stage_ != Stage::kReceiving) return;
    LeaveReceiving();
  }
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
  if (bytes > messages_.largest) {
    return WithReason(
        "TOO_LARGE",
        absl::ResourceExhaustedError(absl::StrCat(
            "a message of ", bytes, " bytes: this server takes at most ", messages_.largest,
            " in one, as its memory_budget and max_request_bytes say: larger requests come in "
            "pieces, by ComputeStream")));
  }
  std::optional<MemoryBudget::Reservation> room = messages_.budget.TryReserve(bytes);
  if (!room.has_value()) return QueueFullError();
  message_ = *std::move(room);
  if (!ParseMessage(incoming_, request_)) {
    return absl::InvalidArgumentError("the message is no lossd.v1.ComputeRequest");
  }
  incoming_.Clear();
  if (absl::Status admitted = call_.Admit(request_.request_id()); !admitted.ok()) return admitted;
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
  {
    const std::lock_guard lock(mutex_);
    Reach(Stage::kSending);
  }
  StartWriteAndFinish(&outgoing_, grpc::WriteOptions(), call_.End(absl::OkStatus()));
}

}  // namespace lossd
