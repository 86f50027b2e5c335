#ifndef TESTS_FUZZ_EXPECT_H_
#define TESTS_FUZZ_EXPECT_H_

#include <cstdlib>
#include <iostream>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lossd {

// A finding unless it is true.
inline void Expect(bool holds, absl::string_view what) {
  if (holds) return;
  std::cerr << "not so: " << what << "\n";
  std::abort();
}

// What became of what a client sent: an answer, or an error that tells the client what is wrong. A
// defect of the server would be INTERNAL or worse.
inline void ExpectAnswerOrRefusal(const absl::Status& status) {
  if (status.ok() || absl::IsInvalidArgument(status) || absl::IsResourceExhausted(status) ||
      absl::IsFailedPrecondition(status)) {
    Expect(status.ok() || !status.message().empty(), "an error says what is wrong");
    return;
  }
  std::cerr << status << "\n";
  std::abort();
}

}  // namespace lossd

#endif  // TESTS_FUZZ_EXPECT_H_
