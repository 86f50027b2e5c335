#ifndef TESTS_ORACLE_CASES_H_
#define TESTS_ORACLE_CASES_H_

#include <cstdint>

namespace lossd {

// How many random cases a property test looks at, of `cases` in a plain build: sanitizers slow a
// case down twenty times, and find what they look for in the first few hundred.
constexpr uint32_t Cases(uint32_t cases) {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
  return cases / 20;
#else
  return cases;
#endif
}

}  // namespace lossd

#endif  // TESTS_ORACLE_CASES_H_
