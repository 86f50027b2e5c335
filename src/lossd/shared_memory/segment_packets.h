#ifndef LOSSD_SHARED_MEMORY_SEGMENT_PACKETS_H_
#define LOSSD_SHARED_MEMORY_SEGMENT_PACKETS_H_

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "absl/strings/string_view.h"

// The packets by which segments are shared, see docs/shared-memory.md.
namespace lossd {

// Bytes of a segment's token, and of what tells servers from each other.
inline constexpr size_t kTokenBytes = 16;

// First byte of an answer; the token, or the reason, follows.
inline constexpr char kDone = 0;
inline constexpr char kRefused = 1;

// The packet that goes with a segment: its size.
inline constexpr size_t kOfferBytes = 8;
static_assert(std::endian::native == std::endian::little, "sizes are sent in little-endian");
inline std::string MakeOffer(uint64_t size) {
  return {reinterpret_cast<const char*>(&size), kOfferBytes};
}
inline uint64_t OfferedSize(absl::string_view offer) {
  uint64_t size = 0;
  std::memcpy(&size, offer.data(), kOfferBytes);
  return size;
}

}  // namespace lossd

#endif  // LOSSD_SHARED_MEMORY_SEGMENT_PACKETS_H_
