#ifndef LOSSD_WIRE_ENCODING_H_
#define LOSSD_WIRE_ENCODING_H_

#include <ATen/core/Tensor.h>

#include "lossd/v1/tensor.pb.h"
#include "lossd/wire/tensor.h"

namespace lossd {

// From here on the sender of a tensor looks for a shorter encoding.
inline constexpr size_t kLeastEncodedBytes = size_t{1} << 16;

// A tensor's elements as they are sent.
struct EncodedElements {
  v1::Encoding encoding = v1::ENCODING_UNSPECIFIED;
  at::Tensor data;  // Contiguous, on the CPU, of any dtype and shape.
};

// The shortest encoding that gives the same elements; for ids the same objects and background,
// renamed where that makes them fit into 2 bytes. What is small, or has none that is shorter, is
// returned as it is. `dense` is contiguous and on the CPU.
EncodedElements Encode(const at::Tensor& dense, ElementUse use);

}  // namespace lossd

#endif  // LOSSD_WIRE_ENCODING_H_
