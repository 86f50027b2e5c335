#ifndef LOSSD_TENSOR_DTYPE_NAME_H_
#define LOSSD_TENSOR_DTYPE_NAME_H_

#include <c10/core/ScalarType.h>

#include <string>

namespace lossd {

// What NumPy, PyTorch and this project's documents call it: "float64", "uint16", "bool".
std::string DTypeName(at::ScalarType dtype);

}  // namespace lossd

#endif  // LOSSD_TENSOR_DTYPE_NAME_H_
