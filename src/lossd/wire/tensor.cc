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

// The dtype of a message.
absl::StatusOr<const DTypeTraits*> ReadDType(const v1::Tensor& message) {
  const DTypeTraits* dtype = Find(message.dtype());
  if (dtype != nullptr) return dtype;
  return FieldError("dtype", absl::StrCat(static_cast<int>(message.dtype())),
                    "a dtype of lossd.v1.DType");
}

int64_t ElementSize(const DTypeTraits& dtype) {
  return static_cast<int64_t>(c10::elementSize(dtype.scalar));
}

at::IntArrayRef Shape(const v1::Tensor& message) {
  return {message.shape().data(), static_cast<size_t>(message.shape().size())};
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
bool AllZeroOrOne(const uint8_t* bytes, int64_t size) {
  uint8_t any = 0;
  for (int64_t i = 0; i < size; ++i) any |= bytes[i];
  return any <= 1;
}

}  // namespace

absl::StatusOr<at::Tensor> FromWire(const v1::Tensor& message) {
  // LibTorch has no read-only tensors; the header passes the promise not to write on.
  auto* const data = const_cast<char*>(message.data().data());
  return FromBytes(message,
                   at::from_blob(data, {static_cast<int64_t>(message.data().size())}, at::kByte));
}

absl::StatusOr<at::Tensor> FromBytes(const v1::Tensor& message, const at::Tensor& data) {
  const absl::StatusOr<const DTypeTraits*> dtype = ReadDType(message);
  if (!dtype.ok()) return dtype.status();
  const absl::StatusOr<int64_t> size = CheckedSize(message, ElementSize(**dtype));
  if (!size.ok()) return size.status();
  if (data.numel() != *size) {
    return FieldError("data", absl::StrCat(data.numel(), " bytes"),
                      absl::StrCat(*size, " for ", v1::DType_Name(message.dtype()), " of shape [",
                                   absl::StrJoin(message.shape(), ", "), "]"));
  }
  auto* const bytes = data.data_ptr<uint8_t>();
  if (message.dtype() == v1::D_TYPE_BOOL && !AllZeroOrOne(bytes, *size)) {
    return FieldError("data", "a bool that is neither 0 nor 1", "bytes of 0 or 1");
  }

  const at::ScalarType scalar = (*dtype)->scalar;
  at::Tensor tensor;
  if (reinterpret_cast<uintptr_t>(bytes) % static_cast<uintptr_t>(ElementSize(**dtype)) == 0) {
    tensor = at::from_blob(bytes, Shape(message), [data](void*) {}, scalar);
  } else {
    tensor = at::empty(Shape(message), scalar);
    std::copy_n(bytes, *size, static_cast<uint8_t*>(tensor.data_ptr()));
  }
  const at::ScalarType computed = (*dtype)->computed;
  if (computed == scalar) return tensor;
  if (c10::elementSize(computed) == c10::elementSize(scalar)) return tensor.view(computed);
  return tensor.to(computed);
}

absl::StatusOr<at::Tensor> StandIn(const v1::Tensor& message) {
  const absl::StatusOr<int64_t> size = DataBytes(message);
  if (!size.ok()) return size.status();
  return at::empty(Shape(message),
                   at::TensorOptions(at::kMeta).dtype(Find(message.dtype())->computed));
}

absl::StatusOr<int64_t> DataBytes(const v1::Tensor& message) {
  const absl::StatusOr<const DTypeTraits*> dtype = ReadDType(message);
  if (!dtype.ok()) return dtype.status();
  return CheckedSize(message, ElementSize(**dtype));
}

absl::Status ToWire(const at::Tensor& tensor, v1::Tensor* message) {
  if (absl::Status status = DescribeOnWire(tensor, message); !status.ok()) return status;
  const at::Tensor dense = DenseOnCpu(tensor);
  message->set_data(dense.const_data_ptr(), dense.nbytes());
  return absl::OkStatus();
}

absl::Status DescribeOnWire(const at::Tensor& tensor, v1::Tensor* message) {
  const DTypeTraits* dtype = Find(tensor.scalar_type());
  if (dtype == nullptr) {
    return FieldError("dtype", c10::toString(tensor.scalar_type()), "a dtype of lossd.v1.DType");
  }
  message->set_dtype(dtype->wire);
  message->mutable_shape()->Assign(tensor.sizes().begin(), tensor.sizes().end());
  return absl::OkStatus();
}

at::Tensor DenseOnCpu(const at::Tensor& tensor) {
  return tensor.detach().to(at::kCPU).contiguous();
}

}  // namespace lossd
