#ifndef LOSSD_TENSOR_NPY_H_
#define LOSSD_TENSOR_NPY_H_

#include <ATen/core/Tensor.h>

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace lossd {

// Reads an array from a NumPy .npy file (NEP 1; format versions 1 to 3), in C or Fortran order, in
// its own dtype: bool, integers of 1 to 8 bytes, float16, float32, float64, little-endian. Errors:
// NOT_FOUND and the like for files that cannot be read, INVALID_ARGUMENT naming the file for
// anything else that is not such a file to the last byte.
absl::StatusOr<at::Tensor> ReadNpy(const std::string& path);

// Writes a tensor of any layout in C order, format version 1. bfloat16, which NumPy lacks, is
// written as float32.
absl::Status WriteNpy(const std::string& path, const at::Tensor& tensor);

}  // namespace lossd

#endif  // LOSSD_TENSOR_NPY_H_
