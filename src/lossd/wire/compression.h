#ifndef LOSSD_WIRE_COMPRESSION_H_
#define LOSSD_WIRE_COMPRESSION_H_

#include <ATen/core/Tensor.h>

#include "absl/status/status.h"

// LZ4 frames: at some 2 GB/s a thread they make large objects' ids several times smaller.
namespace lossd {

// The bytes of a contiguous tensor on the CPU as a frame, uint8; undefined where that would not
// have fewer bytes.
at::Tensor Compress(const at::Tensor& dense);

// Writes what a frame holds into `whole`, both uint8 and contiguous on the CPU. A FieldError about
// "data" unless it is one frame of exactly so many bytes.
absl::Status Decompress(const at::Tensor& frame, const at::Tensor& whole);

}  // namespace lossd

#endif  // LOSSD_WIRE_COMPRESSION_H_
