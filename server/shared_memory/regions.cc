#include "server/shared_memory/regions.h"

#include <cstdint>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/wire/stream_layout.h"

namespace lossd {
namespace {

// Bytes that one thread copies at a time.
constexpr int64_t kGrain = 1 << 20;

void Copy(const void* from, void* to, size_t bytes, const Context& context) {
  context.ParallelFor(static_cast<int64_t>(bytes), kGrain, [&](int64_t begin, int64_t end) {
    std::memcpy(static_cast<char*>(to) + begin, static_cast<const char*>(from) + begin,
                static_cast<size_t>(end - begin));
  });
}

}  // namespace

absl::StatusOr<Region> FindRegion(const v1::SharedRegion& message, const Segments& segments) {
  Segments::Segment segment = segments.Find(message.segment());
  if (segment == nullptr) {
    return WithReason("UNKNOWN_SEGMENT",
                      absl::FailedPreconditionError("this server has no such segment of shared "
                                                    "memory: share it anew, or send the data"));
  }
  const absl::Span<std::byte> bytes = segment->bytes();
  if (message.offset() > bytes.size()) {
    return FieldError("offset", absl::StrCat(message.offset()),
                      absl::StrCat("at most ", bytes.size(), ", the size of the segment"));
  }
  if (message.bytes() > bytes.size() - message.offset()) {
    return FieldError("bytes",
                      absl::StrCat(message.bytes(), " from byte ", message.offset(), " on"),
                      absl::StrCat("what lies within a segment of ", bytes.size()));
  }
  return Region{.segment = std::move(segment),
                .bytes = bytes.subspan(message.offset(), message.bytes())};
}

void CopyFromRegion(const Region& region, const at::Tensor& copy, const Context& context) {
  Copy(region.bytes.data(), copy.mutable_data_ptr(), region.bytes.size(), context);
}

void WriteIntoRegion(const Region& region, const v1::SharedRegion& named,
                     absl::Span<const at::Tensor> tensors, const Context& context,
                     v1::ComputeResponse* answer) {
  uint64_t begin = 0;
  const at::Tensor* next = tensors.data();
  for (v1::Tensor* const message : StreamTensors(*answer)) {
    const at::Tensor& tensor = *next++;
    Copy(tensor.const_data_ptr(), region.bytes.data() + begin, tensor.nbytes(), context);
    v1::SharedRegion* shared = message->mutable_shared();
    shared->set_segment(named.segment());
    shared->set_offset(named.offset() + begin);
    shared->set_bytes(tensor.nbytes());
    begin += tensor.nbytes();
  }
}

}  // namespace lossd
