#ifndef LOSSD_RPC_STREAM_MESSAGE_H_
#define LOSSD_RPC_STREAM_MESSAGE_H_

#include <ATen/core/Tensor.h>
#include <google/protobuf/message_lite.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/slice.h>

#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "lossd/wire/chunk.h"

namespace lossd {

// The memory of a message as gRPC received it, in pieces, where it lies.
class MessagePieces {
 public:
  explicit MessagePieces(const grpc::ByteBuffer& message);

  absl::Span<const absl::string_view> pieces() const { return pieces_; }

 private:
  std::vector<grpc::Slice> slices_;
  std::vector<absl::string_view> pieces_;
};

// Reads a whole message; whether it is one.
bool ParseMessage(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite& message);

// Writes a whole message.
grpc::ByteBuffer SerializeMessage(const google::protobuf::MessageLite& message);

// The message of a chunk of `tensor`, which is contiguous and on the CPU. Its bytes are sent from
// where they lie: the message keeps the tensor alive, as gRPC may hold it for some time after the
// call.
grpc::ByteBuffer ChunkMessage(const Chunk& chunk, const at::Tensor& tensor);

}  // namespace lossd

#endif  // LOSSD_RPC_STREAM_MESSAGE_H_
