#ifndef TESTS_ORACLE_CASES_H_
#define TESTS_ORACLE_CASES_H_

#include <cstdint>

namespace lossd {

// Whether the code is built with sanitizers, which slow it down twenty times.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// How many random cases a property test looks at, of `cases` in a plain build: what sanitizers look
// for, they find in the first few hundred.
constexpr uint32_t Cases(uint32_t cases) { return kSanitized ? cases / 20 : cases; }

}  // namespace lossd

#endif  // TESTS_ORACLE_CASES_H_
