#ifndef LOSSD_WIRE_STREAM_RECEIVER_H_
#define LOSSD_WIRE_STREAM_RECEIVER_H_

#include <ATen/core/Tensor.h>

#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "lossd/wire/chunk.h"

namespace lossd {

// Receives the tensors of a stream, after its header, into memory that is there already.
class StreamReceiver {
 public:
  // `memory` has for each tensor a contiguous uint8 tensor of its size on the CPU.
  StreamReceiver(std::vector<StreamedTensor> tensors, std::vector<at::Tensor> memory)
      : cursor_(std::move(tensors)), memory_(std::move(memory)) {}

  // Takes a message, which may lie in pieces: checks it, then copies its bytes to where they
  // belong. Errors: those of ParseChunk and ChunkCursor::Take; nothing was copied then.
  absl::Status Receive(absl::Span<const absl::string_view> message);

  // Hands over the tensors' bytes. Error: that of ChunkCursor::CheckComplete.
  absl::StatusOr<std::vector<at::Tensor>> Finish();

 private:
  ChunkCursor cursor_;
  std::vector<at::Tensor> memory_;
};

}  // namespace lossd

#endif  // LOSSD_WIRE_STREAM_RECEIVER_H_
