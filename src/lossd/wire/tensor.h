#ifndef LOSSD_WIRE_TENSOR_H_
#define LOSSD_WIRE_TENSOR_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lossd/base/context.h"
#include "lossd/v1/tensor.pb.h"

namespace lossd {

// Most dimensions a tensor on the wire may have.
inline constexpr int kMaxWireDimensions = 8;

// Most bytes a message may have: protobuf's limit.
inline constexpr int64_t kMaxMessageBytes = std::numeric_limits<int32_t>::max();

// What a NamedTensor takes in a message besides its name and data, at most.
inline constexpr int64_t kTensorOverheadBytes = 128;

// What elements are used for: numbers mean what they are; ids are integers that are only compared,
// with each other and with 0.
enum class ElementUse { kNumbers, kIds };

// A contiguous CPU tensor over the message's bytes: no copy where alignment and encoding allow, so
// `message` must outlive it and the tensor must not be written to.
//
// Unsigned integers beyond uint8 become the next wider signed type (LibTorch computes on few
// others), but for uint64, which keeps its bits as int64. What is encoded is decoded to what its
// dtype becomes, but for ids, which keep their bits in an integer type as narrow as the encoding.
// Errors: FieldErrors about "dtype", "shape", "encoding", "compression", "compressed_bytes" and
// "data", relative to the message: no dtype, no dimension or more than kMaxWireDimensions, a size
// below 1, more elements than memory holds, an encoding that does not exist or is not for the
// dtype, a compression that does not exist or makes nothing smaller, data of another size than
// these say or that decompress to one, a bool that is neither 0 nor 1, bits beyond the last
// element. Never reads past the data.
// With a context its threads decode, into memory that its workspace keeps and outlives; then also
// its status when it is cancelled.
absl::StatusOr<at::Tensor> FromWire(const v1::Tensor& message,
                                    ElementUse use = ElementUse::kNumbers,
                                    const Context* context = nullptr);

// The same for a message without data: its bytes are `sent`, a contiguous uint8 tensor on the CPU,
// which the result keeps alive where it is over them.
absl::StatusOr<at::Tensor> FromBytes(const v1::Tensor& message, const at::Tensor& sent,
                                     ElementUse use = ElementUse::kNumbers,
                                     const Context* context = nullptr);

// A tensor of the dtype and shape that FromWire gives, without memory: for checks that look at no
// element. Errors: those of FromWire about other fields than "data".
absl::StatusOr<at::Tensor> StandIn(const v1::Tensor& message,
                                   ElementUse use = ElementUse::kNumbers);

// How many bytes of data dtype, shape, encoding and compression of a message stand for. Errors: as
// StandIn.
absl::StatusOr<int64_t> DataBytes(const v1::Tensor& message);

// How many bytes FromWire takes for it beyond its data: for elements that are no longer compressed,
// and for those that become others. Errors: as StandIn.
absl::StatusOr<int64_t> DecodingBytes(const v1::Tensor& message,
                                      ElementUse use = ElementUse::kNumbers);

// Writes a tensor of any layout and device, in its dtype. A contiguous one on the CPU is copied
// once. INVALID_ARGUMENT for dtypes that the wire does not have.
absl::Status ToWire(const at::Tensor& tensor, v1::Tensor* message);

// The same without the data.
absl::Status DescribeOnWire(const at::Tensor& tensor, v1::Tensor* message);

// The elements as they lie on the wire: contiguous, on the CPU. The tensor itself where it is so.
at::Tensor DenseOnCpu(const at::Tensor& tensor);

}  // namespace lossd

#endif  // LOSSD_WIRE_TENSOR_H_
