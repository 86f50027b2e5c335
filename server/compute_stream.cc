#include "server/compute_stream.h"

#include <ATen/ATen.h>

#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lossd/base/error.h"
#include "lossd/losses/torch_status.h"
#include "lossd_rpc/stream_message.h"
#include "server/plan_cache.h"
#include "server/rpc_status.h"

namespace lossd {
namespace {

// Beyond the plan there are some names and numbers. More is not even parsed.
constexpr size_t kMaxHeaderBytes = 4 * kMaxPlanBytes;

}  // namespace

ComputeStream* ComputeStream::Start(const ComputeSurroundings& surroundings,
                                    const grpc::CallbackServerContext& context) {
  const std::shared_ptr<ComputeStream> stream(new ComputeStream(surroundings, context));
  stream->Begin();
  return stream.get();
}

void ComputeStream::OnReadDone(bool ok) {
  absl::Status status;
  bool is_header = false;
  {
    const std::lock_guard lock(mutex_);
    if (stage_ != Stage::kReceiving) return;
    Reach(Stage::kReceiving);
    is_header = ok && !request_.has_value();
    status = ok ? ReceiveMessage() : FinishReceiving();
    if (!ok || !status.ok()) {
      LeaveReceiving();
    } else if (is_header) {
      Reach(Stage::kWaiting);
    }
  }
  if (!status.ok()) {
    End(status);
  } else if (is_header) {
    call_.AwaitMemory(request_->announcement.demand, [this] { ReceiveTensors(); });
  } else if (ok) {
    StartRead(&incoming_);
  } else {
    Compute();
  }
}

void ComputeStream::ReceiveTensors() {
  absl::Status status = call_.cancellation().status();
  {
    const std::lock_guard lock(mutex_);
    Reach(Stage::kReceiving);
    let_in_ = moved_;
    if (status.ok()) status = CatchTorchErrors([this] { return TakeMemory(); });
    if (!status.ok()) LeaveReceiving();
  }
  if (status.ok()) {
    StartRead(&incoming_);
  } else {
    End(status);
  }
}

absl::Status ComputeStream::TakeMemory() {
  std::vector<at::Tensor> memory;
  for (const StreamedTensor& tensor : request_->tensors) {
    memory.push_back(surroundings_.handlers.arrivals().Take(tensor.bytes));
  }
  receiver_.emplace(request_->tensors, std::move(memory));
  return absl::OkStatus();
}

absl::Status ComputeStream::ReceiveMessage() {
  if (!request_.has_value()) return ReceiveHeader();
  absl::Status received = receiver_->Receive(MessagePieces(incoming_).pieces());
  incoming_.Clear();
  receiving_took_ = moved_ - let_in_;
  return received;
}

absl::Status ComputeStream::ReceiveHeader() {
  if (incoming_.Length() > kMaxHeaderBytes) {
    return FieldError("header", absl::StrCat(incoming_.Length(), " bytes in the first message"),
                      absl::StrCat("at most ", kMaxHeaderBytes, ", as data follow in chunks"));
  }
  v1::ComputeStreamRequest message;
  if (!ParseMessage(incoming_, message)) {
    return absl::InvalidArgumentError("the first message is no lossd.v1.ComputeStreamRequest");
  }
  incoming_.Clear();
  if (!message.has_header()) {
    return FieldError("header", "none in the first message", "the request without its data");
  }
  if (!message.data().empty()) return FieldError("data", "given in the first message");
  absl::Status admitted = call_.Admit(message.header().request_id());
  if (!admitted.ok()) return admitted;
  absl::StatusOr<StreamedRequest> request =
      surroundings_.handlers.Prepare(std::move(*message.mutable_header()), surroundings_.limits);
  if (!request.ok()) return request.status();
  request_ = *std::move(request);
  call_.Describe(request_->header);
  return absl::OkStatus();
}

absl::Status ComputeStream::FinishReceiving() {
  // A client that is gone has ended its side, too.
  if (context_.IsCancelled()) return call_.WhyClientIsGone();
  if (!receiver_.has_value()) {
    return FieldError("header", "no message before the stream ended", "one first");
  }
  absl::StatusOr<std::vector<at::Tensor>> data = receiver_->Finish();
  if (!data.ok()) return data.status();
  data_ = *std::move(data);
  return absl::OkStatus();
}

void ComputeStream::LeaveReceiving() {
  Reach(Stage::kComputing);
  receiver_.reset();
}

void ComputeStream::Compute() {
  call_.Run([this] {
    const absl::Status status =
        surroundings_.handlers.Compute(*request_, data_, call_.cancellation(), &answer_);
    answer_.header.mutable_timings()->set_receive_seconds(absl::ToDoubleSeconds(receiving_took_));
    call_.Sign(answer_.header);
    return status;
  });
}

void ComputeStream::Answer(const absl::Status& status) {
  {
    // It may have waited for memory.
    const std::lock_guard lock(mutex_);
    LeaveReceiving();
  }
  // Others may want the memory while the answer is on its way.
  data_.clear();
  request_.reset();
  call_.ReleaseAllButAnswer();
  if (!status.ok()) return End(status);
  v1::ComputeStreamResponse message;
  *message.mutable_header() = std::move(answer_.header);
  outgoing_ = SerializeMessage(message);
  cutter_.emplace(answer_.tensors);
  next_ = cutter_->Next();
  Send();
}

void ComputeStream::OnWriteDone(bool ok) {
  if (!ok) return End(WhyNotSent());
  outgoing_ = ChunkMessage(*next_, answer_.tensors[next_->tensor]);
  next_ = cutter_->Next();
  Send();
}

void ComputeStream::Send() {
  {
    const std::lock_guard lock(mutex_);
    Reach(Stage::kSending);
  }
  if (next_.has_value()) {
    StartWrite(&outgoing_);
  } else {
    StartWriteAndFinish(&outgoing_, grpc::WriteOptions(), call_.End(absl::OkStatus()));
  }
}

}  // namespace lossd
