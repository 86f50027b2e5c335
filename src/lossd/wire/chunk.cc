#include "lossd/wire/chunk.h"

#include <ATen/ATen.h>
#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/wire_format_lite.h>

#include <algorithm>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/v1/service.pb.h"

namespace lossd {
namespace {

using google::protobuf::internal::WireFormatLite;

// Both directions have the same fields.
using Request = v1::ComputeStreamRequest;
using Response = v1::ComputeStreamResponse;
constexpr int kHeader = Request::kHeaderFieldNumber;
constexpr int kTensor = Request::kTensorFieldNumber;
constexpr int kOffset = Request::kOffsetFieldNumber;
constexpr int kData = Request::kDataFieldNumber;
static_assert(kHeader == Response::kHeaderFieldNumber);
static_assert(kTensor == Response::kTensorFieldNumber);
static_assert(kOffset == Response::kOffsetFieldNumber);
static_assert(kData == Response::kDataFieldNumber);

constexpr uint64_t Tag(int field, WireFormatLite::WireType type) {
  return WireFormatLite::MakeTag(field, type);
}

constexpr uint64_t kHeaderTag = Tag(kHeader, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);
constexpr uint64_t kTensorTag = Tag(kTensor, WireFormatLite::WIRETYPE_VARINT);
constexpr uint64_t kOffsetTag = Tag(kOffset, WireFormatLite::WIRETYPE_VARINT);
constexpr uint64_t kDataTag = Tag(kData, WireFormatLite::WIRETYPE_LENGTH_DELIMITED);

absl::Status Malformed() {
  return absl::InvalidArgumentError("a message of the stream is no protobuf message");
}

// Reads numbers from a message, and skips over what is between them.
class PieceReader {
 public:
  explicit PieceReader(absl::Span<const absl::string_view> pieces) : pieces_(pieces) {
    for (const absl::string_view piece : pieces) left_ += piece.size();
  }

  size_t position() const { return position_; }
  bool AtEnd() const { return left_ == 0; }

  // Nothing where the message ends within it, or it has more than 64 bits.
  std::optional<uint64_t> Varint() {
    constexpr int kBits = 7;
    constexpr int kLastShift = 9 * kBits;
    uint64_t value = 0;
    for (int shift = 0; shift <= kLastShift && !AtEnd(); shift += kBits) {
      const auto byte = static_cast<unsigned char>(Front()[0]);
      Skip(1);
      if (shift == kLastShift && byte > 1) return std::nullopt;
      value |= static_cast<uint64_t>(byte & 0x7F) << shift;
      if (byte < 0x80) return value;
    }
    return std::nullopt;
  }

  // Whether there are that many bytes left to skip.
  bool Skip(uint64_t bytes) {
    if (bytes > left_) return false;
    left_ -= bytes;
    position_ += bytes;
    while (bytes > 0) {
      const size_t step = std::min<uint64_t>(bytes, Front().size());
      used_ += step;
      bytes -= step;
    }
    return true;
  }

 private:
  // What is left of the first piece of which anything is left.
  absl::string_view Front() {
    while (used_ == pieces_.front().size()) {
      pieces_.remove_prefix(1);
      used_ = 0;
    }
    return pieces_.front().substr(used_);
  }

  absl::Span<const absl::string_view> pieces_;
  size_t used_ = 0;  // Of the first piece.
  size_t left_ = 0;
  size_t position_ = 0;
};

// Skips the value of a field that is not ours. Groups are none of proto3's.
bool SkipValue(uint64_t tag, PieceReader& reader) {
  switch (static_cast<WireFormatLite::WireType>(tag & 7)) {
    case WireFormatLite::WIRETYPE_VARINT:
      return reader.Varint().has_value();
    case WireFormatLite::WIRETYPE_FIXED64:
      return reader.Skip(sizeof(uint64_t));
    case WireFormatLite::WIRETYPE_FIXED32:
      return reader.Skip(sizeof(uint32_t));
    case WireFormatLite::WIRETYPE_LENGTH_DELIMITED: {
      const std::optional<uint64_t> size = reader.Varint();
      return size.has_value() && reader.Skip(*size);
    }
    default:
      return false;
  }
}

// Reads a number into `value`.
bool ReadNumber(PieceReader& reader, uint64_t& value) {
  const std::optional<uint64_t> number = reader.Varint();
  value = number.value_or(0);
  return number.has_value();
}

}  // namespace

ChunkCutter::ChunkCutter(absl::Span<const at::Tensor> tensors) {
  for (const at::Tensor& tensor : tensors) sizes_.push_back(static_cast<int64_t>(tensor.nbytes()));
}

std::optional<Chunk> ChunkCutter::Next() {
  last_.offset += last_.size;
  if (last_.tensor < sizes_.size() && last_.offset == static_cast<uint64_t>(sizes_[last_.tensor])) {
    ++last_.tensor;
    last_.offset = 0;
  }
  last_.size = 0;
  if (last_.tensor == sizes_.size()) return std::nullopt;
  last_.size =
      std::min<uint64_t>(kChunkBytes, static_cast<uint64_t>(sizes_[last_.tensor]) - last_.offset);
  return last_;
}

absl::Status ChunkCursor::Take(const Chunk& chunk) {
  if (tensor_ == tensors_.size()) {
    return FieldError("tensor", absl::StrCat(chunk.tensor), "no chunk after the last byte");
  }
  const StreamedTensor& tensor = tensors_[tensor_];
  if (chunk.tensor != tensor_) {
    return FieldError("tensor", absl::StrCat(chunk.tensor),
                      absl::StrCat(tensor_, " (", tensor.field, "), of which ", offset_, " of ",
                                   tensor.bytes, " bytes have come"));
  }
  if (chunk.offset != offset_) {
    return FieldError("offset", absl::StrCat(chunk.offset),
                      absl::StrCat(offset_, ", the next byte of ", tensor.field));
  }
  const uint64_t left = static_cast<uint64_t>(tensor.bytes) - offset_;
  if (chunk.size == 0 || chunk.size > left) {
    return FieldError("data", absl::StrCat(chunk.size, " bytes"),
                      absl::StrCat("1 to ", left, ", what is left of ", tensor.field));
  }
  offset_ += chunk.size;
  if (chunk.size == left) {
    ++tensor_;
    offset_ = 0;
  }
  return absl::OkStatus();
}

absl::Status ChunkCursor::CheckComplete() const {
  if (tensor_ == tensors_.size()) return absl::OkStatus();
  const StreamedTensor& tensor = tensors_[tensor_];
  return FieldError(absl::StrCat(tensor.field, ".data"),
                    absl::StrCat(offset_, " bytes before the stream ended"),
                    absl::StrCat(tensor.bytes));
}

absl::StatusOr<ChunkInMessage> ParseChunk(absl::Span<const absl::string_view> message) {
  PieceReader reader(message);
  ChunkInMessage parsed;
  bool has_data = false;
  while (!reader.AtEnd()) {
    uint64_t tag = 0;
    if (!ReadNumber(reader, tag)) return Malformed();
    bool valid = true;
    switch (tag) {
      case kHeaderTag:
        return FieldError("header", "one after the first message", "none there");
      case kTensorTag:
        valid = ReadNumber(reader, parsed.chunk.tensor);
        break;
      case kOffsetTag:
        valid = ReadNumber(reader, parsed.chunk.offset);
        break;
      case kDataTag:
        if (has_data) return FieldError("data", "given twice in one message");
        has_data = true;
        valid = ReadNumber(reader, parsed.chunk.size);
        parsed.data_begin = reader.position();
        valid = valid && reader.Skip(parsed.chunk.size);
        break;
      default:
        valid = SkipValue(tag, reader);
    }
    if (!valid) return Malformed();
  }
  return parsed;
}

void CopyBytes(absl::Span<const absl::string_view> message, size_t begin, absl::Span<uint8_t> to) {
  for (absl::string_view piece : message) {
    if (to.empty()) return;
    const size_t skipped = std::min(begin, piece.size());
    piece.remove_prefix(skipped);
    begin -= skipped;
    const size_t size = std::min(piece.size(), to.size());
    if (size > 0) std::memcpy(to.data(), piece.data(), size);
    to.remove_prefix(size);
  }
}

std::string ChunkFront(const Chunk& chunk) {
  // Three tags of a byte, and three numbers.
  constexpr size_t kMostBytes = 3 * 11;
  uint8_t front[kMostBytes];
  uint8_t* end = front;
  for (const uint64_t number :
       {kTensorTag, chunk.tensor, kOffsetTag, chunk.offset, kDataTag, chunk.size}) {
    end = google::protobuf::io::CodedOutputStream::WriteVarint64ToArray(number, end);
  }
  return {front, end};
}

}  // namespace lossd
