#ifndef LOSSD_WIRE_IN_RANGES_H_
#define LOSSD_WIRE_IN_RANGES_H_

#include <cstdint>

#include "absl/functional/function_ref.h"

namespace lossd {

// For who has no TaskPool: calls `body` for ranges that together are [0, count), each beginning at
// a multiple of 8, until one of the calls is false; whether none was. Many elements are worth
// threads of their own, as many as there are cores, which are gone when this returns; few are
// walked through in one call.
bool InRanges(int64_t count, absl::FunctionRef<bool(int64_t begin, int64_t end)> body);

}  // namespace lossd

#endif  // LOSSD_WIRE_IN_RANGES_H_
