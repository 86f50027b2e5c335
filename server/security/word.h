#ifndef SERVER_SECURITY_WORD_H_
#define SERVER_SECURITY_WORD_H_

#include <algorithm>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"

namespace lossd {

// Whether that may stand for somebody or something in metadata, files and logs: 1 to `max_bytes`
// characters of printable ASCII without spaces.
inline bool IsWord(absl::string_view text, size_t max_bytes) {
  return !text.empty() && text.size() <= max_bytes &&
         std::all_of(text.begin(), text.end(),
                     [](char c) { return absl::ascii_isgraph(static_cast<unsigned char>(c)); });
}

}  // namespace lossd

#endif  // SERVER_SECURITY_WORD_H_
