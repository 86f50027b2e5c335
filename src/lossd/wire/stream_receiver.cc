#include "lossd/wire/stream_receiver.h"

#include <ATen/ATen.h>

namespace lossd {

absl::Status StreamReceiver::Receive(absl::Span<const absl::string_view> message) {
  const absl::StatusOr<ChunkInMessage> parsed = ParseChunk(message);
  if (!parsed.ok()) return parsed.status();
  const auto& [chunk, data_begin] = *parsed;
  if (absl::Status next = cursor_.Take(chunk); !next.ok()) return next;
  uint8_t* const to = memory_[chunk.tensor].data_ptr<uint8_t>() + chunk.offset;
  CopyBytes(message, data_begin, {to, chunk.size});
  return absl::OkStatus();
}

absl::StatusOr<std::vector<at::Tensor>> StreamReceiver::Finish() {
  if (absl::Status complete = cursor_.CheckComplete(); !complete.ok()) return complete;
  return std::move(memory_);
}

}  // namespace lossd
