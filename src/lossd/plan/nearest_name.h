#ifndef LOSSD_PLAN_NEAREST_NAME_H_
#define LOSSD_PLAN_NEAREST_NAME_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lossd {

// The candidate that someone who wrote `name` most likely meant: nearest by the number of inserted,
// deleted, replaced and swapped characters, ignoring case. Empty when none is close.
absl::string_view NearestName(absl::string_view name, absl::Span<const std::string> candidates);

// "; did you mean <nearest>?", or nothing when none is close.
std::string DidYouMean(absl::string_view name, absl::Span<const std::string> candidates);

// Text of a user's as it may appear in an error message: in quotes, control characters escaped,
// long text cut.
std::string Quoted(absl::string_view text);

// The same without the quotes: a key of a user's as part of a field's path.
std::string Printable(absl::string_view key);

}  // namespace lossd

#endif  // LOSSD_PLAN_NEAREST_NAME_H_
