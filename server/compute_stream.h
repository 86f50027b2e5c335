#ifndef SERVER_COMPUTE_STREAM_H_
#define SERVER_COMPUTE_STREAM_H_

#include <ATen/core/Tensor.h>
#include <grpcpp/support/server_callback.h>

#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lossd/wire/chunk.h"
#include "lossd/wire/stream_receiver.h"
#include "server/compute_call.h"
#include "server/handlers.h"

namespace lossd {

// One call of ComputeStream. It receives: the header, which it may refuse before it takes memory,
// then, once there is memory for what the call takes, chunks, each copied once to where it belongs;
// until then it reads nothing, which holds the client back. When the client has sent all, the
// executor computes. Then it sends the answer, header first, from where the gradients lie. No
// thread waits for the client.
class ComputeStream final : public ComputeCall {
 public:
  // Lives until gRPC is done with it.
  static ComputeStream* Start(const ComputeSurroundings& surroundings,
                              const grpc::CallbackServerContext& context);

 private:
  ComputeStream(const ComputeSurroundings& surroundings, const grpc::CallbackServerContext& context)
      : ComputeCall(surroundings, context, "ComputeStream") {}

  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void Answer(const absl::Status& status) override;
  void LeaveReceiving() override;

  // Receiving; with mutex_ held.
  absl::Status ReceiveMessage();
  absl::Status ReceiveHeader();
  absl::Status FinishReceiving();
  absl::Status TakeMemory();

  // There is memory for the tensors.
  void ReceiveTensors();

  void Compute();
  void Send();

  // Guarded by mutex_ while it receives.
  absl::Time let_in_;                       // When there was memory for the tensors.
  absl::Duration receiving_took_;           // From then to the last byte.
  std::optional<StreamedRequest> request_;  // Once the header is there,
  std::optional<StreamReceiver> receiver_;  // which says what is to be received.
  std::vector<at::Tensor> data_;            // All that was.

  StreamedAnswer answer_;
  std::optional<ChunkCutter> cutter_;
  std::optional<Chunk> next_;  // What is sent after `outgoing_`.
};

}  // namespace lossd

#endif  // SERVER_COMPUTE_STREAM_H_
