#ifndef LOSSD_WIRE_STREAM_LAYOUT_H_
#define LOSSD_WIRE_STREAM_LAYOUT_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lossd/v1/service.pb.h"

namespace lossd {

// A tensor of a streamed request or answer, whose bytes follow its header.
struct StreamedTensor {
  std::string field;  // What errors call it: "predictions[aff]".
  int64_t bytes = 0;  // At least 1.
};

// The tensors that a stream brings after that header, in their order there. Nothing is allocated:
// whatever a header claims, its tensors have together less than 2^63 bytes. Errors: FieldErrors
// about "labels.shape" and the like, as those of FromWire; about "labels.data" where a header has
// what belongs into chunks.
absl::StatusOr<std::vector<StreamedTensor>> ReadStreamLayout(const v1::ComputeRequest& header);
absl::StatusOr<std::vector<StreamedTensor>> ReadStreamLayout(const v1::ComputeResponse& header);

// The tensors of a message themselves, in that order.
std::vector<v1::Tensor*> StreamTensors(v1::ComputeRequest& message);
std::vector<v1::Tensor*> StreamTensors(v1::ComputeResponse& message);

// The bytes of them all.
int64_t TotalBytes(const std::vector<StreamedTensor>& tensors);

}  // namespace lossd

#endif  // LOSSD_WIRE_STREAM_LAYOUT_H_
