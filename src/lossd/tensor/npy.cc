#include "lossd/tensor/npy.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <istream>
#include <numeric>
#include <optional>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "lossd/tensor/dtype_name.h"

namespace lossd {
namespace {

static_assert(std::endian::native == std::endian::little, "only little-endian files are read");

constexpr absl::string_view kMagic("\x93NUMPY", 6);
// The data start at a multiple of this, so that they can be mapped.
constexpr size_t kAlignment = 64;
// More than any dtype and shape take.
constexpr uint32_t kMaxHeaderSize = 1 << 16;

struct NpyDType {
  absl::string_view descr;
  at::ScalarType dtype;
};

constexpr NpyDType kDTypes[] = {
    {"|b1", at::kBool},  {"|u1", at::kByte},   {"|i1", at::kChar},  {"<u2", at::kUInt16},
    {"<i2", at::kShort}, {"<u4", at::kUInt32}, {"<i4", at::kInt},   {"<u8", at::kUInt64},
    {"<i8", at::kLong},  {"<f2", at::kHalf},   {"<f4", at::kFloat}, {"<f8", at::kDouble},
};

// What the header of a file says.
struct Header {
  at::ScalarType dtype;
  bool fortran_order;
  std::vector<int64_t> shape;
};

// Reads the header's Python dictionary, {'descr': '<f4', 'fortran_order': False, 'shape': (2, 3),
// }, from left to right. NumPy writes these three keys in this order; others may choose another.
class HeaderReader {
 public:
  explicit HeaderReader(absl::string_view text) : rest_(text) {}

  absl::StatusOr<Header> Read() {
    std::optional<at::ScalarType> dtype;
    std::optional<bool> fortran_order;
    std::optional<std::vector<int64_t>> shape;
    if (!Take("{")) return Malformed();
    while (!Take("}")) {
      const std::optional<absl::string_view> key = TakeString();
      if (!key.has_value() || !Take(":")) return Malformed();
      if (*key == "descr" && !dtype.has_value()) {
        const absl::StatusOr<at::ScalarType> read = TakeDType();
        if (!read.ok()) return read.status();
        dtype = *read;
      } else if (*key == "fortran_order" && !fortran_order.has_value()) {
        if (Take("True")) {
          fortran_order = true;
        } else if (Take("False")) {
          fortran_order = false;
        } else {
          return Malformed();
        }
      } else if (*key == "shape" && !shape.has_value()) {
        shape = TakeShape();
        if (!shape.has_value()) return Malformed();
      } else {
        return Malformed();
      }
      if (!Take(",") && !Next("}")) return Malformed();
    }
    if (!dtype || !fortran_order || !shape || !absl::StripAsciiWhitespace(rest_).empty()) {
      return Malformed();
    }
    return Header{*dtype, *fortran_order, *std::move(shape)};
  }

 private:
  static absl::Status Malformed() {
    return absl::InvalidArgumentError("the .npy header is malformed");
  }

  bool Next(absl::string_view token) {
    rest_ = absl::StripLeadingAsciiWhitespace(rest_);
    return absl::StartsWith(rest_, token);
  }

  bool Take(absl::string_view token) {
    if (!Next(token)) return false;
    rest_.remove_prefix(token.size());
    return true;
  }

  // A quoted string; none of those in a header has an escape.
  std::optional<absl::string_view> TakeString() {
    for (const absl::string_view quote : {"'", "\""}) {
      if (!Take(quote)) continue;
      const size_t end = rest_.find(quote);
      if (end == absl::string_view::npos) return std::nullopt;
      const absl::string_view text = rest_.substr(0, end);
      rest_.remove_prefix(end + 1);
      return text;
    }
    return std::nullopt;
  }

  absl::StatusOr<at::ScalarType> TakeDType() {
    const std::optional<absl::string_view> descr = TakeString();
    if (!descr.has_value()) {
      return absl::InvalidArgumentError("structured dtypes are not supported");
    }
    const auto* found = std::ranges::find(kDTypes, *descr, &NpyDType::descr);
    if (found == std::end(kDTypes)) {
      return absl::InvalidArgumentError(
          absl::StrCat("dtype '", *descr, "' is not supported, only ",
                       absl::StrJoin(kDTypes, ", ", [](std::string* out, const NpyDType& name) {
                         absl::StrAppend(out, name.descr);
                       })));
    }
    return found->dtype;
  }

  // A tuple of sizes: "()", "(3,)", "(2, 3)".
  std::optional<std::vector<int64_t>> TakeShape() {
    if (!Take("(")) return std::nullopt;
    std::vector<int64_t> shape;
    while (!Take(")")) {
      if (!Next("")) return std::nullopt;
      const auto* end = std::ranges::find_if_not(rest_, absl::ascii_isdigit);
      int64_t size = 0;
      const absl::string_view digits = rest_.substr(0, end - rest_.begin());
      if (!absl::SimpleAtoi(digits, &size)) return std::nullopt;
      rest_.remove_prefix(digits.size());
      shape.push_back(size);
      if (!Take(",") && !Next(")")) return std::nullopt;
    }
    return shape;
  }

  absl::string_view rest_;
};

std::vector<int64_t> ReversedDimensions(const at::Tensor& tensor) {
  std::vector<int64_t> dimensions(tensor.dim());
  std::iota(dimensions.rbegin(), dimensions.rend(), 0);
  return dimensions;
}

// Takes `size` bytes from the file.
absl::Status ReadBytes(std::istream& file, void* to, uint64_t size) {
  if (!file.read(static_cast<char*>(to), static_cast<std::streamsize>(size))) {
    return absl::InvalidArgumentError("the file ends too early");
  }
  return absl::OkStatus();
}

// Reads everything before the data.
absl::StatusOr<Header> ReadHeader(std::istream& file) {
  char magic[8];  // And the version.
  if (const absl::Status read = ReadBytes(file, magic, sizeof(magic)); !read.ok()) return read;
  const int version = static_cast<unsigned char>(magic[6]);
  if (absl::string_view(magic, kMagic.size()) != kMagic || version < 1 || version > 3) {
    return absl::InvalidArgumentError("not a .npy file of format version 1 to 3");
  }
  uint32_t size = 0;
  if (const absl::Status read = ReadBytes(file, &size, version == 1 ? 2 : 4); !read.ok()) {
    return read;
  }
  if (size > kMaxHeaderSize) return absl::InvalidArgumentError("the .npy header is malformed");
  std::string text(size, '\0');
  if (const absl::Status read = ReadBytes(file, text.data(), size); !read.ok()) return read;
  return HeaderReader(text).Read();
}

// Size in bytes of the data that the header announces; nothing when it overflows.
std::optional<uint64_t> DataSize(const Header& header) {
  uint64_t bytes = c10::elementSize(header.dtype);
  for (const int64_t size : header.shape) {
    if (__builtin_mul_overflow(bytes, static_cast<uint64_t>(size), &bytes)) return std::nullopt;
  }
  return bytes;
}

absl::StatusOr<at::Tensor> ReadArray(std::istream& file, uint64_t file_size) {
  absl::StatusOr<Header> header = ReadHeader(file);
  if (!header.ok()) return header.status();
  const uint64_t size = file_size - static_cast<uint64_t>(file.tellg());
  if (DataSize(*header) != size) {
    return absl::InvalidArgumentError(absl::StrCat("shape (", absl::StrJoin(header->shape, ", "),
                                                   ") does not fit ", size, " bytes of data"));
  }
  if (header->fortran_order) std::ranges::reverse(header->shape);
  at::Tensor tensor = at::empty(header->shape, header->dtype);
  if (const absl::Status read = ReadBytes(file, tensor.data_ptr(), size); !read.ok()) return read;
  return header->fortran_order ? tensor.permute(ReversedDimensions(tensor)) : tensor;
}

}  // namespace

absl::StatusOr<at::Tensor> ReadNpy(const std::string& path) {
  std::error_code error;
  const uintmax_t size = std::filesystem::file_size(path, error);
  if (error) return absl::ErrnoToStatus(error.value(), path);
  std::ifstream file(path, std::ios::binary);
  if (!file) return absl::ErrnoToStatus(errno, path);
  absl::StatusOr<at::Tensor> tensor = ReadArray(file, size);
  if (tensor.ok()) return tensor;
  return absl::Status(tensor.status().code(), absl::StrCat(path, ": ", tensor.status().message()));
}

absl::Status WriteNpy(const std::string& path, const at::Tensor& tensor) {
  at::Tensor dense = tensor.to(at::kCPU).contiguous();
  if (dense.scalar_type() == at::kBFloat16) dense = dense.to(at::kFloat);
  const auto* name = std::ranges::find(kDTypes, dense.scalar_type(), &NpyDType::dtype);
  if (name == std::end(kDTypes)) {
    return absl::InvalidArgumentError(
        absl::StrCat(path, ": .npy has no dtype ", DTypeName(dense.scalar_type())));
  }
  std::string header =
      absl::StrCat("{'descr': '", name->descr, "', 'fortran_order': False, 'shape': (",
                   absl::StrJoin(dense.sizes(), ", "), dense.dim() == 1 ? "," : "", "), }");
  constexpr size_t kPreamble = kMagic.size() + 2 + 2;
  const size_t unpadded = kPreamble + header.size() + 1;
  header.append((kAlignment - unpadded % kAlignment) % kAlignment, ' ');
  header.push_back('\n');
  const auto size = static_cast<uint16_t>(header.size());

  std::ofstream file(path, std::ios::binary);
  if (!file) return absl::ErrnoToStatus(errno, path);
  file << kMagic << '\1' << '\0';
  file.write(reinterpret_cast<const char*>(&size), sizeof(size));
  file << header;
  file.write(static_cast<const char*>(dense.const_data_ptr()),
             static_cast<std::streamsize>(dense.nbytes()));
  file.close();
  if (!file) return absl::DataLossError(absl::StrCat(path, ": cannot be written to its end"));
  return absl::OkStatus();
}

}  // namespace lossd
