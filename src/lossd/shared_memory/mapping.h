#ifndef LOSSD_SHARED_MEMORY_MAPPING_H_
#define LOSSD_SHARED_MEMORY_MAPPING_H_

#include <cstddef>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "lossd/shared_memory/file_descriptor.h"

namespace lossd {

// A file in memory, together with all others who map it: what one writes, the others read. It
// outlives the descriptor.
class Mapping {
 public:
  // Maps the first `bytes` >= 1 of a file that has so many. With `populate` all pages are there
  // when this returns, else each when it is first touched.
  static absl::StatusOr<Mapping> Of(const FileDescriptor& file, size_t bytes,
                                    bool populate = false);

  Mapping(Mapping&& other) noexcept : bytes_(std::exchange(other.bytes_, {})) {}
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Mapping();

  absl::Span<std::byte> bytes() const { return bytes_; }

 private:
  explicit Mapping(absl::Span<std::byte> bytes) : bytes_(bytes) {}

  absl::Span<std::byte> bytes_;
};

}  // namespace lossd

#endif  // LOSSD_SHARED_MEMORY_MAPPING_H_
