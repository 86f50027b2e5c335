#include "lossd/plan/nearest_name.h"

#include <algorithm>
#include <limits>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"

namespace lossd {
namespace {

constexpr size_t kLongestName = 64;

// Optimal string alignment distance: Levenshtein's with swaps of neighbours.
size_t Distance(absl::string_view a, absl::string_view b) {
  std::vector<std::vector<size_t>> d(a.size() + 1, std::vector<size_t>(b.size() + 1));
  for (size_t i = 0; i <= a.size(); ++i) d[i][0] = i;
  for (size_t j = 0; j <= b.size(); ++j) d[0][j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    for (size_t j = 1; j <= b.size(); ++j) {
      d[i][j] = std::min(
          {d[i - 1][j] + 1, d[i][j - 1] + 1, d[i - 1][j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) {
        d[i][j] = std::min(d[i][j], d[i - 2][j - 2] + 1);
      }
    }
  }
  return d[a.size()][b.size()];
}

// The shortest candidate of which the name, in lower case, is a part: "crop_size" is one of
// "malis_crop_size".
absl::string_view ShortestWith(absl::string_view name, absl::Span<const std::string> candidates) {
  constexpr size_t kShortestPart = 3;
  absl::string_view shortest;
  for (const std::string& candidate : candidates) {
    if (name.size() >= kShortestPart && absl::StrContains(absl::AsciiStrToLower(candidate), name) &&
        (shortest.empty() || candidate.size() < shortest.size())) {
      shortest = candidate;
    }
  }
  return shortest;
}

}  // namespace

absl::string_view NearestName(absl::string_view name, absl::Span<const std::string> candidates) {
  if (name.empty() || name.size() > kLongestName) return "";
  const std::string lower = absl::AsciiStrToLower(name);
  size_t best_distance = std::numeric_limits<size_t>::max();
  absl::string_view best;
  for (const std::string& candidate : candidates) {
    const size_t distance = Distance(lower, absl::AsciiStrToLower(candidate));
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  // One slip in a short word, more in a long one.
  return best_distance <= std::max<size_t>(1, name.size() / 3) ? best
                                                               : ShortestWith(lower, candidates);
}

std::string DidYouMean(absl::string_view name, absl::Span<const std::string> candidates) {
  const absl::string_view nearest = NearestName(name, candidates);
  return nearest.empty() ? "" : absl::StrCat("; did you mean ", nearest, "?");
}

std::string Quoted(absl::string_view text) {
  constexpr size_t kShown = 80;
  size_t end = std::min(text.size(), kShown);
  // Not within a character of several bytes.
  while (end < text.size() && end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) {
    --end;
  }
  return absl::StrCat("\"", absl::Utf8SafeCEscape(text.substr(0, end)),
                      end < text.size() ? "…\"" : "\"");
}

std::string Printable(absl::string_view key) {
  const std::string quoted = Quoted(key);
  return quoted.substr(1, quoted.size() - 2);
}

}  // namespace lossd
