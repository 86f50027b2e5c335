#include "lossd_rpc/stream_message.h"

#include <ATen/ATen.h>
#include <grpcpp/support/proto_buffer_reader.h>

#include <cstdint>
#include <memory>

namespace lossd {

MessagePieces::MessagePieces(const grpc::ByteBuffer& message) {
  // Uncompressed bytes can always be had.
  if (!message.Dump(&slices_).ok()) return;
  for (const grpc::Slice& slice : slices_) {
    pieces_.emplace_back(reinterpret_cast<const char*>(slice.begin()), slice.size());
  }
}

bool ParseMessage(const grpc::ByteBuffer& bytes, google::protobuf::MessageLite& message) {
  grpc::ByteBuffer same = bytes;
  grpc::ProtoBufferReader reader(&same);
  return message.ParseFromZeroCopyStream(&reader);
}

grpc::ByteBuffer SerializeMessage(const google::protobuf::MessageLite& message) {
  const grpc::Slice slice(message.SerializeAsString());
  return {&slice, 1};
}

grpc::ByteBuffer ChunkMessage(const Chunk& chunk, const at::Tensor& tensor) {
  auto owner = std::make_unique<at::Tensor>(tensor);
  auto* const bytes = static_cast<uint8_t*>(owner->data_ptr()) + chunk.offset;
  const grpc::Slice slices[] = {
      grpc::Slice(ChunkFront(chunk)),
      grpc::Slice(
          bytes, chunk.size,
          [](void* held) {
            const std::unique_ptr<at::Tensor> last(static_cast<at::Tensor*>(held));
          },
          owner.release())};
  return {slices, std::size(slices)};
}

}  // namespace lossd
