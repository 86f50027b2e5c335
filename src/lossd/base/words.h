#ifndef LOSSD_BASE_WORDS_H_
#define LOSSD_BASE_WORDS_H_

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lossd {

// The words for the values of an enum that people write and read: enumerator k is word k. Each such
// enum has a specialisation beside it, an array of absl::string_view.
template <typename Enum>
inline constexpr bool kWords = false;

template <typename Enum>
constexpr absl::Span<const absl::string_view> WordsOf() {
  return kWords<Enum>;
}

template <typename Enum>
std::string Word(Enum value) {
  return std::string(kWords<Enum>[static_cast<size_t>(value)]);
}

}  // namespace lossd

#endif  // LOSSD_BASE_WORDS_H_
