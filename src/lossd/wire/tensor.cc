#include "lossd/wire/tensor.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lossd/base/error.h"

namespace lossd {
namespace {

static_assert(std::endian::native == std::endian::little, "the wire is little-endian");

struct DTypeTraits {
  v1::DType wire;
  at::ScalarType scalar;    // The same type in LibTorch.
  at::ScalarType computed;  // What it becomes on arrival.
};

constexpr DTypeTraits kDTypes[] = {
    {v1::D_TYPE_FLOAT32, at::kFloat, at::kFloat},
    {v1::D_TYPE_FLOAT16, at::kHalf, at::kHalf},
    {v1::D_TYPE_BFLOAT16, at::kBFloat16, at::kBFloat16},
    {v1::D_TYPE_FLOAT64, at::kDouble, at::kDouble},
    {v1::D_TYPE_BOOL, at::kBool, at::kBool},
    {v1::D_TYPE_UINT8, at::kByte, at::kByte},
    {v1::D_TYPE_INT8, at::kChar, at::kChar},
    {v1::D_TYPE_UINT16, at::kUInt16, at::kInt},
    {v1::D_TYPE_INT16, at::kShort, at::kShort},
    {v1::D_TYPE_UINT32, at::kUInt32, at::kLong},
    {v1::D_TYPE_INT32, at::kInt, at::kInt},
    {v1::D_TYPE_UINT64, at::kUInt64, at::kLong},
    {v1::D_TYPE_INT64, at::kLong, at::kLong},
};

const DTypeTraits* Find(v1::DType dtype) {
  const auto* found = std::ranges::find(kDTypes, dtype, &DTypeTraits::wire);
  return found == std::end(kDTypes) ? nullptr : found;
}

const DTypeTraits* Find(at::ScalarType dtype) {
  const auto* found = std::ranges::find(kDTypes, dtype, &DTypeTraits::scalar);
  return found == std::end(kDTypes) ? nullptr : found;
}

// Size in bytes of a tensor of that shape.
absl::StatusOr<int64_t> CheckedSize(const v1::Tensor& message, int64_t element_size) {
  const auto& shape = message.shape();
  const auto given = [&shape] { return absl::StrCat("[", absl::StrJoin(shape, ", "), "]"); };
  if (shape.empty() || shape.size() > kMaxWireDimensions) {
    return FieldError("shape", absl::StrCat(shape.size(), " dimensions"),
                      absl::StrCat("1 to ", kMaxWireDimensions));
  }
  int64_t bytes = element_size;
  for (const int64_t size : shape) {
    if (size < 1) return FieldError("shape", given(), "sizes of at least 1");
    if (bytes > std::numeric_limits<int64_t>::max() / size) {
      return FieldError("shape", given(), "a tensor that fits into memory");
    }
    bytes *= size;
  }
  return bytes;
}

// One pass without branches, which compilers vectorise: masks are large.
bool AllZeroOrOne(const std::string& bytes) {
  unsigned char any = 0;
  for (const char byte : bytes) any |= static_cast<unsigned char>(byte);
  return any <= 1;
}

}  // namespace

absl::StatusOr<at::Tensor> FromWire(const v1::Tensor& message) {
  const DTypeTraits* dtype = Find(message.dtype());
  if (dtype == nullptr) {
    return FieldError("dtype", absl::StrCat(static_cast<int>(message.dtype())),
                      "a dtype of lossd.v1.DType");
  }
  const auto element_size = static_cast<int64_t>(c10::elementSize(dtype->scalar));
  const absl::StatusOr<int64_t> size = CheckedSize(message, element_size);
  if (!size.ok()) return size.status();
  const std::string& data = message.data();
  if (static_cast<int64_t>(data.size()) != *size) {
    return FieldError("data", absl::StrCat(data.size(), " bytes"),
                      absl::StrCat(*size, " for ", v1::DType_Name(message.dtype()), " of shape [",
                                   absl::StrJoin(message.shape(), ", "), "]"));
  }
  if (message.dtype() == v1::D_TYPE_BOOL && !AllZeroOrOne(data)) {
    return FieldError("data", "a bool that is neither 0 nor 1", "bytes of 0 or 1");
  }

  const at::IntArrayRef shape(message.shape().data(), message.shape().size());
  at::Tensor tensor;
  if (reinterpret_cast<uintptr_t>(data.data()) % static_cast<uintptr_t>(element_size) == 0) {
    // LibTorch has no read-only tensors; the header passes the promise not to write on.
    tensor = at::from_blob(const_cast<char*>(data.data()), shape, dtype->scalar);
  } else {
    tensor = at::empty(shape, dtype->scalar);
    std::ranges::copy(data, static_cast<char*>(tensor.data_ptr()));
  }
  if (dtype->computed == dtype->scalar) return tensor;
  if (c10::elementSize(dtype->computed) == c10::elementSize(dtype->scalar)) {
    return tensor.view(dtype->computed);
  }
  return tensor.to(dtype->computed);
}

absl::Status ToWire(const at::Tensor& tensor, v1::Tensor* message) {
  const DTypeTraits* dtype = Find(tensor.scalar_type());
  if (dtype == nullptr) {
    return FieldError("dtype", c10::toString(tensor.scalar_type()), "a dtype of lossd.v1.DType");
  }
  const at::Tensor dense = tensor.to(at::kCPU).contiguous();
  message->set_dtype(dtype->wire);
  message->mutable_shape()->Assign(dense.sizes().begin(), dense.sizes().end());
  message->set_data(dense.const_data_ptr(), dense.nbytes());
  return absl::OkStatus();
}

}  // namespace lossd
