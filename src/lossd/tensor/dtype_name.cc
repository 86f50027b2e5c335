#include "lossd/tensor/dtype_name.h"

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"

namespace lossd {

std::string DTypeName(at::ScalarType dtype) {
  const size_t bits = 8 * c10::elementSize(dtype);
  const bool half = dtype == at::kBFloat16;
  if (at::isFloatingType(dtype)) return absl::StrCat(half ? "bfloat" : "float", bits);
  if (at::isComplexType(dtype)) return absl::StrCat("complex", bits);
  if (at::isIntegralType(dtype, /*includeBool=*/false)) {
    return absl::StrCat(at::isSignedType(dtype) ? "int" : "uint", bits);
  }
  return absl::AsciiStrToLower(c10::toString(dtype));
}

}  // namespace lossd
