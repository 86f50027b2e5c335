#ifndef LOSSD_WIRE_CHUNK_H_
#define LOSSD_WIRE_CHUNK_H_

#include <ATen/core/Tensor.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "lossd/wire/stream_layout.h"

namespace lossd {

// What a message of a stream carries of a tensor, but for the last of it. Large enough that what
// each message costs does not count, small enough that it is still in the cache when it is copied.
inline constexpr int64_t kChunkBytes = int64_t{512} << 10;

// A run of a tensor's bytes.
struct Chunk {
  uint64_t tensor = 0;  // Index in the stream's layout.
  uint64_t offset = 0;  // Where it begins.
  uint64_t size = 0;

  friend bool operator==(const Chunk&, const Chunk&) = default;
};

// Cuts tensors of the given sizes, each at least 1, into chunks, in the order in which a stream has
// them.
class ChunkCutter {
 public:
  explicit ChunkCutter(std::vector<int64_t> sizes) : sizes_(std::move(sizes)) {}
  // Those of the elements of tensors.
  explicit ChunkCutter(absl::Span<const at::Tensor> tensors);

  // The next chunk; nothing after the last.
  std::optional<Chunk> Next();

 private:
  std::vector<int64_t> sizes_;
  Chunk last_;
};

// Follows the chunks of a stream: tensor after tensor, each from its first byte to its last,
// without gaps and overlaps.
class ChunkCursor {
 public:
  explicit ChunkCursor(std::vector<StreamedTensor> tensors) : tensors_(std::move(tensors)) {}

  // Moves on by a chunk. FieldErrors about "tensor", "offset" and "data" unless it is the next one.
  absl::Status Take(const Chunk& chunk);

  // OK when every byte has come; else a FieldError about the first tensor that lacks some.
  absl::Status CheckComplete() const;

 private:
  std::vector<StreamedTensor> tensors_;
  size_t tensor_ = 0;    // That the next byte belongs to; past the last when all have come.
  uint64_t offset_ = 0;  // Of the next byte.
};

// A chunk, and where in its message its bytes begin.
struct ChunkInMessage {
  Chunk chunk;
  size_t data_begin = 0;
};

// Reads a ComputeStreamRequest or ComputeStreamResponse that is not the first of its stream and
// lies in one or more pieces of memory. Its data are not touched. As protobuf would, but for what
// it takes and we refuse: a header, and data given twice. INVALID_ARGUMENT then, and where the
// bytes are no message.
absl::StatusOr<ChunkInMessage> ParseChunk(absl::Span<const absl::string_view> message);

// Copies the bytes of a message from `begin` on; `to` is no larger than what it has from there.
void CopyBytes(absl::Span<const absl::string_view> message, size_t begin, absl::Span<uint8_t> to);

// What comes before the data in the message of a chunk.
std::string ChunkFront(const Chunk& chunk);

}  // namespace lossd

#endif  // LOSSD_WIRE_CHUNK_H_
