#include "lossd/wire/tensor.h"

#include <ATen/ATen.h>
#include <ATen/EmptyTensor.h>

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstdint>
#include <functional>
#include <limits>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lossd/base/error.h"
#include "lossd/tensor/dtype_name.h"
#include "lossd/tensor/large_tensor.h"
#include "lossd/wire/bits.h"
#include "lossd/wire/compression.h"

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

int64_t ElementSize(at::ScalarType dtype) { return static_cast<int64_t>(c10::elementSize(dtype)); }

at::IntArrayRef Shape(const v1::Tensor& message) {
  return {message.shape().data(), static_cast<size_t>(message.shape().size())};
}

// The elements of a tensor of that shape, which has at most 2^63 - 1 bytes.
absl::StatusOr<int64_t> CheckedElements(const v1::Tensor& message, const DTypeTraits& dtype) {
  const auto& shape = message.shape();
  const auto given = [&shape] { return absl::StrCat("[", absl::StrJoin(shape, ", "), "]"); };
  if (shape.empty() || shape.size() > kMaxWireDimensions) {
    return FieldError("shape", absl::StrCat(shape.size(), " dimensions"),
                      absl::StrCat("1 to ", kMaxWireDimensions));
  }
  const int64_t most = std::numeric_limits<int64_t>::max() /
                       std::max(ElementSize(dtype.scalar), ElementSize(dtype.computed));
  int64_t elements = 1;
  for (const int64_t size : shape) {
    if (size < 1) return FieldError("shape", given(), "sizes of at least 1");
    if (elements > most / size) {
      return FieldError("shape", given(), "a tensor that fits into memory");
    }
    elements *= size;
  }
  return elements;
}

// What the elements are in the data, but for bits.
at::ScalarType StoredType(const DTypeTraits& dtype, v1::Encoding encoding) {
  switch (encoding) {
    case v1::ENCODING_UINT8:
      return at::kByte;
    case v1::ENCODING_UINT16:
      return at::kUInt16;
    case v1::ENCODING_UINT32:
      return at::kUInt32;
    default:
      return dtype.scalar;
  }
}

// What the elements become.
at::ScalarType ComputedType(const DTypeTraits& dtype, v1::Encoding encoding, ElementUse use) {
  if (use != ElementUse::kIds || !at::isIntegralType(dtype.scalar, /*includeBool=*/false)) {
    return dtype.computed;
  }
  switch (encoding) {
    case v1::ENCODING_BITS:
    case v1::ENCODING_UINT8:
      return at::kByte;
    case v1::ENCODING_UINT16:
      return at::kShort;
    case v1::ENCODING_UINT32:
      return at::kInt;
    default:
      return dtype.computed;
  }
}

absl::Status CheckEncoding(const v1::Tensor& message, const DTypeTraits& dtype) {
  const v1::Encoding encoding = message.encoding();
  if (!v1::Encoding_IsValid(encoding)) {
    return FieldError("encoding", absl::StrCat(static_cast<int>(encoding)),
                      "an encoding of lossd.v1.Encoding");
  }
  if (encoding == v1::ENCODING_UNSPECIFIED || encoding == v1::ENCODING_BITS) {
    return absl::OkStatus();
  }
  const int64_t stored = ElementSize(StoredType(dtype, encoding));
  if (at::isIntegralType(dtype.scalar, /*includeBool=*/false) &&
      stored < ElementSize(dtype.scalar)) {
    return absl::OkStatus();
  }
  return FieldError(
      "encoding",
      absl::StrCat(v1::Encoding_Name(encoding), " for ", v1::DType_Name(message.dtype())),
      absl::StrCat("an integer dtype of more than ", stored, stored == 1 ? " byte" : " bytes"));
}

// The bytes of the elements as they are encoded, before any compression. The message is known to
// be good but for what it says of that.
int64_t EncodedBytes(const v1::Tensor& message, const DTypeTraits& dtype, int64_t elements) {
  if (message.encoding() == v1::ENCODING_BITS) return BitsBytes(elements);
  return elements * ElementSize(StoredType(dtype, message.encoding()));
}

absl::Status CheckCompression(const v1::Tensor& message, int64_t encoded_bytes) {
  const uint64_t bytes = message.compressed_bytes();
  if (message.compression() == v1::COMPRESSION_UNSPECIFIED) {
    if (bytes == 0) return absl::OkStatus();
    return FieldError("compressed_bytes", absl::StrCat(bytes), "0 without a compression");
  }
  if (message.compression() != v1::COMPRESSION_LZ4) {
    return FieldError("compression", absl::StrCat(static_cast<int>(message.compression())),
                      "a compression of lossd.v1.Compression");
  }
  if (bytes > 0 && std::cmp_less(bytes, encoded_bytes)) return absl::OkStatus();
  return FieldError("compressed_bytes", absl::StrCat(bytes),
                    absl::StrCat("1 to ", encoded_bytes - 1, ", less than without compression"));
}

// The elements as they are encoded.
absl::StatusOr<at::Tensor> Decompressed(const v1::Tensor& message, const at::Tensor& data) {
  if (message.compression() == v1::COMPRESSION_UNSPECIFIED) return data;
  const DTypeTraits& dtype = *Find(message.dtype());
  at::Tensor whole =
      EmptyLarge({EncodedBytes(message, dtype, c10::multiply_integers(Shape(message)))}, at::kByte);
  if (absl::Status status = Decompress(data, whole); !status.ok()) return status;
  return whole;
}

// The size of the data, and what it is for.
absl::Status CheckSize(const v1::Tensor& message, int64_t given, int64_t expected) {
  if (given == expected) return absl::OkStatus();
  if (message.compression() != v1::COMPRESSION_UNSPECIFIED) {
    return FieldError("data", absl::StrCat(given, " bytes"),
                      absl::StrCat(expected, ", as compressed_bytes says"));
  }
  const std::string in = message.encoding() == v1::ENCODING_UNSPECIFIED
                             ? ""
                             : absl::StrCat(" in ", v1::Encoding_Name(message.encoding()));
  return FieldError("data", absl::StrCat(given, " bytes"),
                    absl::StrCat(expected, " for ", v1::DType_Name(message.dtype()), " of shape [",
                                 absl::StrJoin(message.shape(), ", "), "]", in));
}

// Memory for a message's elements.
at::Tensor Empty(const v1::Tensor& message, at::ScalarType dtype, const Context* context) {
  if (context == nullptr) return EmptyLarge(Shape(message), dtype);
  return BorrowTensor(context->workspace(), Shape(message), dtype);
}

// Calls body(begin, size) for parts of so many elements, each a multiple of 8 but for the last.
void ForEachPart(int64_t elements, const Context* context,
                 const std::function<void(int64_t begin, int64_t size)>& body) {
  constexpr int64_t kPart = 1 << 18;
  if (context == nullptr) return body(0, elements);
  context->ParallelFor((elements + kPart - 1) / kPart, 1, [&](int64_t part, int64_t /*end*/) {
    const int64_t begin = part * kPart;
    body(begin, std::min(kPart, elements - begin));
  });
}

absl::StatusOr<at::Tensor> FromBits(const v1::Tensor& message, const uint8_t* bits,
                                    at::ScalarType dtype, const Context* context) {
  at::Tensor tensor = Empty(message, dtype, context);
  const int64_t last = tensor.numel() % 8;
  if (last != 0 && bits[tensor.numel() / 8] >> last != 0) {
    return FieldError("data", "bits set beyond the last element", "0 in what is left of its byte");
  }
  const at::Tensor flat = tensor.view(-1);
  ForEachPart(flat.numel(), context, [&](int64_t begin, int64_t size) {
    UnpackBits(bits + begin / 8, flat.narrow(0, begin, size));
  });
  return tensor;
}

bool AllZeroOrOne(const uint8_t* bytes, int64_t size, const Context* context) {
  std::atomic<bool> all = true;
  ForEachPart(size, context, [&](int64_t begin, int64_t count) {
    // Without branches, so that compilers vectorise it.
    uint8_t any = 0;
    for (int64_t i = begin; i < begin + count; ++i) any |= bytes[i];
    if (any > 1) all = false;
  });
  return all;
}

// The elements in another type.
at::Tensor Converted(const v1::Tensor& message, const at::Tensor& tensor, at::ScalarType dtype,
                     const Context* context) {
  at::Tensor converted = Empty(message, dtype, context);
  const at::Tensor from = tensor.view(-1);
  const at::Tensor to = converted.view(-1);
  ForEachPart(from.numel(), context, [&](int64_t begin, int64_t size) {
    to.narrow(0, begin, size).copy_(from.narrow(0, begin, size));
  });
  return converted;
}

// The tensor over the bytes; a copy where they are not aligned.
at::Tensor OverBytes(const v1::Tensor& message, const at::Tensor& data, at::ScalarType dtype) {
  auto* const bytes = data.data_ptr<uint8_t>();
  if (reinterpret_cast<uintptr_t>(bytes) % static_cast<uintptr_t>(ElementSize(dtype)) == 0) {
    return at::from_blob(bytes, Shape(message), [data](void*) {}, dtype);
  }
  at::Tensor tensor = at::empty(Shape(message), dtype);
  std::copy_n(bytes, data.numel(), static_cast<uint8_t*>(tensor.data_ptr()));
  return tensor;
}

// FromBytes, but that of a computation that is cancelled the elements may be half done.
absl::StatusOr<at::Tensor> Decode(const v1::Tensor& message, const at::Tensor& sent, ElementUse use,
                                  const Context* context) {
  const absl::StatusOr<int64_t> size = DataBytes(message);
  if (!size.ok()) return size.status();
  if (absl::Status sized = CheckSize(message, sent.numel(), *size); !sized.ok()) return sized;
  const absl::StatusOr<at::Tensor> decompressed = Decompressed(message, sent);
  if (!decompressed.ok()) return decompressed.status();
  const at::Tensor& data = *decompressed;
  const DTypeTraits& dtype = *Find(message.dtype());
  const at::ScalarType computed = ComputedType(dtype, message.encoding(), use);
  const auto* const bytes = data.const_data_ptr<uint8_t>();
  if (message.encoding() == v1::ENCODING_BITS) return FromBits(message, bytes, computed, context);
  if (message.dtype() == v1::D_TYPE_BOOL && !AllZeroOrOne(bytes, data.numel(), context)) {
    return FieldError("data", "a bool that is neither 0 nor 1", "bytes of 0 or 1");
  }
  const at::ScalarType stored = StoredType(dtype, message.encoding());
  const at::Tensor tensor = OverBytes(message, data, stored);
  if (computed == stored) return tensor;
  if (ElementSize(computed) == ElementSize(stored)) return tensor.view(computed);
  return Converted(message, tensor, computed, context);
}

}  // namespace

absl::StatusOr<at::Tensor> FromWire(const v1::Tensor& message, ElementUse use,
                                    const Context* context) {
  // LibTorch has no read-only tensors; the header passes the promise not to write on.
  auto* const data = const_cast<char*>(message.data().data());
  return FromBytes(message,
                   at::from_blob(data, {static_cast<int64_t>(message.data().size())}, at::kByte),
                   use, context);
}

absl::StatusOr<at::Tensor> FromBytes(const v1::Tensor& message, const at::Tensor& sent,
                                     ElementUse use, const Context* context) {
  absl::StatusOr<at::Tensor> decoded = Decode(message, sent, use, context);
  if (context != nullptr && !context->status().ok()) return context->status();
  return decoded;
}

absl::StatusOr<at::Tensor> StandIn(const v1::Tensor& message, ElementUse use) {
  const absl::StatusOr<int64_t> size = DataBytes(message);
  if (!size.ok()) return size.status();
  const at::ScalarType dtype = ComputedType(*Find(message.dtype()), message.encoding(), use);
  // As at::empty, without the way through LibTorch's dispatcher.
  return at::Tensor(at::detail::empty_meta(Shape(message), dtype));
}

absl::StatusOr<int64_t> DataBytes(const v1::Tensor& message) {
  const absl::StatusOr<const DTypeTraits*> dtype = ReadDType(message);
  if (!dtype.ok()) return dtype.status();
  const absl::StatusOr<int64_t> elements = CheckedElements(message, **dtype);
  if (!elements.ok()) return elements.status();
  if (absl::Status known = CheckEncoding(message, **dtype); !known.ok()) return known;
  const int64_t encoded = EncodedBytes(message, **dtype, *elements);
  if (absl::Status known = CheckCompression(message, encoded); !known.ok()) return known;
  if (message.compression() == v1::COMPRESSION_UNSPECIFIED) return encoded;
  return static_cast<int64_t>(message.compressed_bytes());
}

absl::StatusOr<int64_t> DecodingBytes(const v1::Tensor& message, ElementUse use) {
  if (const absl::StatusOr<int64_t> size = DataBytes(message); !size.ok()) return size.status();
  const DTypeTraits& dtype = *Find(message.dtype());
  const int64_t elements = c10::multiply_integers(Shape(message));
  const int64_t computed = ElementSize(ComputedType(dtype, message.encoding(), use));
  const bool as_stored = message.encoding() != v1::ENCODING_BITS &&
                         computed == ElementSize(StoredType(dtype, message.encoding()));
  const bool compressed = message.compression() != v1::COMPRESSION_UNSPECIFIED;
  return (compressed ? EncodedBytes(message, dtype, elements) : 0) +
         (as_stored ? 0 : elements * computed);
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
    return FieldError("dtype", DTypeName(tensor.scalar_type()), "a dtype of lossd.v1.DType");
  }
  message->set_dtype(dtype->wire);
  message->mutable_shape()->Assign(tensor.sizes().begin(), tensor.sizes().end());
  return absl::OkStatus();
}

at::Tensor DenseOnCpu(const at::Tensor& tensor) {
  if (tensor.is_cpu() && tensor.is_contiguous() && !tensor.requires_grad()) return tensor;
  return tensor.detach().to(at::kCPU).contiguous();
}

}  // namespace lossd
