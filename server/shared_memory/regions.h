#ifndef SERVER_SHARED_MEMORY_REGIONS_H_
#define SERVER_SHARED_MEMORY_REGIONS_H_

#include <ATen/core/Tensor.h>

#include <cstddef>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lossd/base/context.h"
#include "lossd/v1/service.pb.h"
#include "server/shared_memory/segments.h"

// Tensors in memory that a client shares.
namespace lossd {

// A part of a segment, which stays as long as this.
struct Region {
  Segments::Segment segment;
  absl::Span<std::byte> bytes;
};

// The region of a message. Errors: a FieldError about "bytes" or "offset" where it is not within
// its segment; FAILED_PRECONDITION with reason UNKNOWN_SEGMENT where there is no such segment.
absl::StatusOr<Region> FindRegion(const v1::SharedRegion& message, const Segments& segments);

// Copies a region into `copy`, uint8 of its size. The client may write to the region meanwhile: the
// copy then has one or the other of each byte.
void CopyFromRegion(const Region& region, const at::Tensor& copy, const Context& context);

// Writes an answer's tensors into the region that the request names, and into the answer where they
// lie. The region must have room for them. `tensors` are contiguous and on the CPU, in the order of
// a stream, and their data are not in the answer yet.
void WriteIntoRegion(const Region& region, const v1::SharedRegion& named,
                     absl::Span<const at::Tensor> tensors, const Context& context,
                     v1::ComputeResponse* answer);

}  // namespace lossd

#endif  // SERVER_SHARED_MEMORY_REGIONS_H_
