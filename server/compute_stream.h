#ifndef SERVER_COMPUTE_STREAM_H_
#define SERVER_COMPUTE_STREAM_H_

#include <grpcpp/alarm.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lossd/wire/chunk.h"
#include "lossd/wire/stream_receiver.h"
#include "server/call.h"
#include "server/handlers.h"

namespace lossd {

// What streamed calls need of the service. All of it outlives them.
struct StreamSurroundings {
  CallSurroundings call;
  Handlers& handlers;
  RequestLimits limits;
  absl::Duration receive_timeout;  // How long a client may send nothing.
};

// One call of ComputeStream. It receives: the header, which it may refuse before it takes memory,
// then, once there is memory for what the call takes, chunks, each copied once to where it belongs;
// until then it reads nothing, which holds the client back. When the client has sent all, the
// executor computes. Then it sends the answer, header first, from where the gradients lie. No
// thread waits for the client.
class ComputeStream final : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                            public std::enable_shared_from_this<ComputeStream> {
 public:
  // Lives until gRPC is done with it.
  static ComputeStream* Start(const StreamSurroundings& surroundings,
                              const grpc::CallbackServerContext& context);

 private:
  ComputeStream(const StreamSurroundings& surroundings, const grpc::CallbackServerContext& context);

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnCancel() override { call_.Cancel(); }
  void OnDone() override { self_ = nullptr; }

  // Receiving; with mutex_ held.
  absl::Status ReceiveMessage();
  absl::Status ReceiveHeader();
  absl::Status FinishReceiving();
  absl::Status TakeMemory();
  void StopReceiving();

  // Looks after the client: has itself called again until nothing is received any more.
  void Watch();
  void LookAfterClient();
  absl::Status CheckClient() const;

  // There is memory for the tensors.
  void ReceiveTensors();

  void Compute();
  void Answer(const absl::Status& status);
  void Send();
  void End(const absl::Status& status) { Finish(call_.End(status)); }

  const StreamSurroundings surroundings_;
  const grpc::CallbackServerContext& context_;
  Call call_;
  std::shared_ptr<ComputeStream> self_;

  // A client that falls silent is refused by another thread than the one that receives.
  std::mutex mutex_;
  bool receiving_ = true;
  bool waiting_ = false;  // For memory, while it is not the client that is silent.
  absl::Time last_message_ = absl::Now();
  absl::Time let_in_;              // When there was memory for the tensors.
  absl::Duration receiving_took_;  // From then to the last byte.
  std::optional<grpc::Alarm> watch_;
  grpc::ByteBuffer incoming_;
  std::optional<StreamedRequest> request_;  // Once the header is there,
  std::optional<StreamReceiver> receiver_;  // which says what is to be received.
  std::vector<at::Tensor> data_;            // All that was.

  StreamedAnswer answer_;
  grpc::ByteBuffer outgoing_;
  std::optional<ChunkCutter> cutter_;
  std::optional<Chunk> next_;  // What is sent after `outgoing_`.
};

}  // namespace lossd

#endif  // SERVER_COMPUTE_STREAM_H_
