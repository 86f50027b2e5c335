#include "lossd/compute_streamed.h"

#include <ATen/ATen.h>
#include <grpcpp/completion_queue.h>
#include <grpcpp/generic/generic_stub.h>

#include <algorithm>
#include <exception>
#include <functional>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lossd/gradient_memory.h"
#include "lossd/messages.h"
#include "lossd/rpc_error.h"
#include "lossd/wire/stream_receiver.h"
#include "lossd/wire/tensor.h"
#include "lossd_rpc/stream_message.h"

namespace lossd {
namespace {

constexpr char kMethod[] = "/lossd.v1.LossService/ComputeStream";

// Memory to receive tensors in.
absl::StatusOr<std::vector<at::Tensor>> TakeMemory(const Arrivals& arrivals,
                                                   const std::vector<StreamedTensor>& tensors) {
  std::vector<at::Tensor> memory;
  for (const StreamedTensor& tensor : tensors) {
    absl::StatusOr<at::Tensor> taken = TakeGradientMemory(arrivals, tensor.bytes);
    if (!taken.ok()) return taken.status();
    memory.push_back(*std::move(taken));
  }
  return memory;
}

// The call as the calling thread sees it: one operation after the other. Counts the bytes of its
// messages.
class Stream {
 public:
  Stream(const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext& context)
      : stream_(grpc::GenericStub(channel).PrepareCall(&context, kMethod, &queue_)) {
    Await([this](void* tag) { stream_->StartCall(tag); });
  }

  // Each of them whether it was done; if not, the call is over.
  bool Write(const grpc::ByteBuffer& message) {
    bytes_.sent += static_cast<int64_t>(message.Length());
    return Await([&](void* tag) { stream_->Write(message, tag); });
  }
  bool WritesDone() {
    return Await([this](void* tag) { stream_->WritesDone(tag); });
  }
  bool Read(grpc::ByteBuffer& message) {
    const bool read = Await([&](void* tag) { stream_->Read(&message, tag); });
    if (read) bytes_.received += static_cast<int64_t>(message.Length());
    return read;
  }

  // Whether something was not done.
  bool over() const { return over_; }

  const CallBytes& bytes() const { return bytes_; }

  // How the call has ended. Nothing else may be done after.
  absl::Status Finish() {
    grpc::Status status;
    Await([&](void* tag) { stream_->Finish(&status, tag); });
    return FromRpcStatus(status);
  }

 private:
  // Starts an operation and waits for it.
  bool Await(absl::FunctionRef<void(void* tag)> start) {
    start(this);
    void* tag = nullptr;
    bool ok = false;
    over_ = !(queue_.Next(&tag, &ok) && ok);
    return !over_;
  }

  bool over_ = false;
  CallBytes bytes_;
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
};

// The most bytes that gradients of these predictions have, the terms' own included.
int64_t MostBytes(const v1::ComputeRequest& request, const v1::ComputeResponse& answer) {
  int64_t elements = 0;
  for (const v1::NamedTensor& prediction : request.predictions()) {
    const auto& shape = prediction.tensor().shape();
    elements += std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>());
  }
  // More scales than 5 of 256 terms there are not.
  constexpr int64_t kMostTerms = 5 * 256;
  const int64_t terms = std::min<int64_t>(answer.terms_size(), kMostTerms);
  return elements * static_cast<int64_t>(sizeof(float)) * (terms + 1);
}

int64_t TotalBytes(absl::Span<const at::Tensor> tensors) {
  int64_t total = 0;
  for (const at::Tensor& tensor : tensors) total += static_cast<int64_t>(tensor.nbytes());
  return total;
}

// An answer whose tensors followed it: the bytes of each, in memory of its own.
struct IncomingAnswer {
  v1::ComputeResponse header;
  std::vector<at::Tensor> data;
  absl::Time begun;  // When its first message was there.
};

// One attempt.
class Exchange {
 public:
  Exchange(const OutgoingRequest& request, Arrivals arrivals,
           const Delivery::ProgressFunction& report, Stream& stream)
      : request_(request), arrivals_(std::move(arrivals)), report_(report), stream_(stream) {
    progress_.to_send = TotalBytes(request.tensors);
  }

  // Sends all of the request; whether the server took it.
  bool Send() {
    v1::ComputeStreamRequest first;
    *first.mutable_header() = request_.header;
    if (!stream_.Write(SerializeMessage(first))) return false;
    ChunkCutter cutter(request_.tensors);
    while (const std::optional<Chunk> chunk = cutter.Next()) {
      if (!stream_.Write(ChunkMessage(*chunk, request_.tensors[chunk->tensor]))) return false;
      progress_.sent += static_cast<int64_t>(chunk->size);
      Report();
    }
    return stream_.WritesDone();
  }

  // Receives the answer; an error for one that is none or not whole.
  absl::Status Receive(IncomingAnswer* answer) {
    grpc::ByteBuffer message;
    if (!stream_.Read(message)) return absl::InternalError("nothing came");
    answer->begun = absl::Now();
    v1::ComputeStreamResponse first;
    if (!ParseMessage(message, first) || !first.has_header()) {
      return absl::InternalError("the first message has no header");
    }
    answer->header = std::move(*first.mutable_header());
    return ReceiveTensors(answer);
  }

 private:
  // Receives what follows the answer's header.
  absl::Status ReceiveTensors(IncomingAnswer* answer) {
    absl::StatusOr<std::vector<StreamedTensor>> tensors = ReadStreamLayout(answer->header);
    if (!tensors.ok()) return tensors.status();
    // Before memory is taken for what nobody has asked for.
    const int64_t most = MostBytes(request_.header, answer->header);
    progress_.to_receive = lossd::TotalBytes(*tensors);
    if (progress_.to_receive > most) {
      return absl::InternalError(absl::StrCat("gradients of ", progress_.to_receive,
                                              " bytes, expected at most ", most,
                                              ", as there are predictions"));
    }
    absl::StatusOr<std::vector<at::Tensor>> memory = TakeMemory(arrivals_, *tensors);
    if (!memory.ok()) return memory.status();
    StreamReceiver receiver(*std::move(tensors), *std::move(memory));
    const int64_t before = stream_.bytes().received;
    grpc::ByteBuffer message;
    while (stream_.Read(message)) {
      absl::Status received = receiver.Receive(MessagePieces(message).pieces());
      if (!received.ok()) return received;
      message.Clear();
      progress_.received = std::min(stream_.bytes().received - before, progress_.to_receive);
      Report();
    }
    absl::StatusOr<std::vector<at::Tensor>> data = receiver.Finish();
    if (!data.ok()) return data.status();
    answer->data = *std::move(data);
    return absl::OkStatus();
  }

  void Report() const {
    if (report_ != nullptr) report_(progress_);
  }

  const OutgoingRequest& request_;
  const Arrivals arrivals_;
  const Delivery::ProgressFunction& report_;
  Stream& stream_;
  Progress progress_;
};

class StreamedDelivery final : public Delivery {
 public:
  explicit StreamedDelivery(std::shared_ptr<const OutgoingRequest> request)
      : request_(std::move(request)) {}

  absl::StatusOr<Result> Attempt(const Connection& connection, grpc::ClientContext& context,
                                 CallControl& /*control*/,
                                 const ProgressFunction& progress) override {
    const absl::Time start = absl::Now();
    Stream stream(connection.channel, context);
    Exchange exchange(*request_, Arrivals(connection.workspace), progress, stream);
    const bool taken = exchange.Send();
    const absl::Time sent = absl::Now();
    IncomingAnswer answer;
    const absl::Status received =
        taken ? exchange.Receive(&answer) : absl::InternalError("it came before all was sent");
    const bool ours = !received.ok() && !stream.over();
    if (ours) context.TryCancel();
    absl::Status status = stream.Finish();
    if (!received.ok() && (ours || status.ok())) {
      return absl::InternalError(absl::StrCat("the server's answer: ", received.message()));
    }
    if (!status.ok()) return status;
    absl::StatusOr<Result> result = Read(answer);
    if (!result.ok()) return result;
    result->timings.client_send = sent - start;
    result->timings.client_receive = absl::Now() - answer.begun;
    result->bytes = stream.bytes();
    return result;
  }

 private:
  static absl::StatusOr<Result> Read(const IncomingAnswer& answer) {
    auto next = answer.data.begin();
    return ReadResult(answer.header,
                      [&next](const v1::Tensor& message) { return FromBytes(message, *next++); });
  }

  const std::shared_ptr<const OutgoingRequest> request_;
};

}  // namespace

std::unique_ptr<Delivery> DeliverStreamed(std::shared_ptr<const OutgoingRequest> request) {
  return std::make_unique<StreamedDelivery>(std::move(request));
}

}  // namespace lossd
