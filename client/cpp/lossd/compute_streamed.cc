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
#include "lossd/rpc_error.h"
#include "lossd/tensor/large_tensor.h"
#include "lossd/wire/stream_receiver.h"
#include "lossd_rpc/stream_message.h"

namespace lossd {
namespace {

constexpr char kMethod[] = "/lossd.v1.LossService/ComputeStream";

// Memory to receive tensors in.
absl::StatusOr<std::vector<at::Tensor>> TakeMemory(const std::vector<StreamedTensor>& tensors) {
  try {
    std::vector<at::Tensor> memory;
    for (const StreamedTensor& tensor : tensors)
      memory.push_back(EmptyLarge({tensor.bytes}, at::kByte));
    return memory;
  } catch (const std::exception&) {
    return absl::ResourceExhaustedError(
        absl::StrCat("not enough memory for ", TotalBytes(tensors), " bytes of gradients"));
  }
}

// The call as the calling thread sees it: one operation after the other.
class Stream {
 public:
  Stream(const std::shared_ptr<grpc::Channel>& channel, grpc::ClientContext& context)
      : stream_(grpc::GenericStub(channel).PrepareCall(&context, kMethod, &queue_)) {
    Await([this](void* tag) { stream_->StartCall(tag); });
  }

  // Each of them whether it was done; if not, the call is over.
  bool Write(const grpc::ByteBuffer& message) {
    return Await([&](void* tag) { stream_->Write(message, tag); });
  }
  bool WritesDone() {
    return Await([this](void* tag) { stream_->WritesDone(tag); });
  }
  bool Read(grpc::ByteBuffer& message) {
    return Await([&](void* tag) { stream_->Read(&message, tag); });
  }

  // Whether something was not done.
  bool over() const { return over_; }

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
  grpc::CompletionQueue queue_;
  std::unique_ptr<grpc::GenericClientAsyncReaderWriter> stream_;
};

// Sends all of a request; whether the server took it.
bool Send(const OutgoingRequest& request, Stream& stream) {
  v1::ComputeStreamRequest first;
  *first.mutable_header() = request.header;
  if (!stream.Write(SerializeMessage(first))) return false;
  ChunkCutter cutter(request.tensors);
  while (const std::optional<Chunk> chunk = cutter.Next()) {
    if (!stream.Write(ChunkMessage(*chunk, request.tensors[chunk->tensor]))) return false;
  }
  return stream.WritesDone();
}

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

// Receives what follows the answer's header.
absl::Status ReceiveTensors(const v1::ComputeRequest& request, Stream& stream,
                            IncomingAnswer* answer) {
  absl::StatusOr<std::vector<StreamedTensor>> tensors = ReadStreamLayout(answer->header);
  if (!tensors.ok()) return tensors.status();
  // Before memory is taken for what nobody has asked for.
  const int64_t most = MostBytes(request, answer->header);
  if (const int64_t bytes = TotalBytes(*tensors); bytes > most) {
    return absl::InternalError(absl::StrCat("gradients of ", bytes, " bytes, expected at most ",
                                            most, ", as there are predictions"));
  }
  absl::StatusOr<std::vector<at::Tensor>> memory = TakeMemory(*tensors);
  if (!memory.ok()) return memory.status();
  StreamReceiver receiver(*std::move(tensors), *std::move(memory));
  grpc::ByteBuffer message;
  while (stream.Read(message)) {
    absl::Status received = receiver.Receive(MessagePieces(message).pieces());
    if (!received.ok()) return received;
    message.Clear();
  }
  absl::StatusOr<std::vector<at::Tensor>> data = receiver.Finish();
  if (!data.ok()) return data.status();
  answer->data = *std::move(data);
  return absl::OkStatus();
}

// Receives an answer; an error for one that is none or not whole.
absl::Status Receive(const v1::ComputeRequest& request, Stream& stream, IncomingAnswer* answer) {
  grpc::ByteBuffer message;
  if (!stream.Read(message)) return absl::InternalError("nothing came");
  v1::ComputeStreamResponse first;
  if (!ParseMessage(message, first) || !first.has_header()) {
    return absl::InternalError("the first message has no header");
  }
  answer->header = std::move(*first.mutable_header());
  return ReceiveTensors(request, stream, answer);
}

}  // namespace

absl::Status ComputeStreamed(const std::shared_ptr<grpc::Channel>& channel,
                             grpc::ClientContext& context, const OutgoingRequest& request,
                             IncomingAnswer* answer) {
  Stream stream(channel, context);
  const absl::Status received = Send(request, stream)
                                    ? Receive(request.header, stream, answer)
                                    : absl::InternalError("it came before all was sent");
  const bool ours = !received.ok() && !stream.over();
  if (ours) context.TryCancel();
  absl::Status status = stream.Finish();
  if (received.ok() || !(ours || status.ok())) return status;
  return absl::InternalError(absl::StrCat("the server's answer: ", received.message()));
}

}  // namespace lossd
