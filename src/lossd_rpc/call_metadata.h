#ifndef LOSSD_RPC_CALL_METADATA_H_
#define LOSSD_RPC_CALL_METADATA_H_

#include <cstddef>

#include "absl/strings/string_view.h"

// What calls say along with their messages, in gRPC's metadata.
namespace lossd {

// "Bearer TOKEN", which lets a client in.
inline constexpr char kAuthorizationKey[] = "authorization";
inline constexpr absl::string_view kBearer = "Bearer ";
// What a client calls itself.
inline constexpr char kClientKey[] = "x-lossd-client";
inline constexpr size_t kMaxClientBytes = 128;
// Where a call belongs in a distributed trace, as W3C writes it.
inline constexpr char kTraceparentKey[] = "traceparent";

// Whether that may be a token or somebody's name: 1 to `max_bytes` characters of printable ASCII
// without spaces.
bool IsWord(absl::string_view text, size_t max_bytes);

// Whether it is version-trace-span-flags.
bool IsTraceparent(absl::string_view text);

}  // namespace lossd

#endif  // LOSSD_RPC_CALL_METADATA_H_
