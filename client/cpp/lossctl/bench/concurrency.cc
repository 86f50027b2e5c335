#include "lossctl/bench/concurrency.h"

#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "lossd/base/error.h"

namespace lossd {
namespace {

constexpr int kMost = 1024;

}  // namespace

absl::StatusOr<std::vector<int>> ReadConcurrency(absl::string_view text) {
  const auto error = [text] {
    return FieldError("--concurrency", absl::StrCat("'", text, "'"),
                      absl::StrCat("N or LO:HI[:STEP], from 1 to ", kMost, ", LO at most HI"));
  };
  std::vector<int> numbers;
  for (const absl::string_view part : absl::StrSplit(text, ':')) {
    int number = 0;
    if (!absl::SimpleAtoi(part, &number) || number < 1 || number > kMost) return error();
    numbers.push_back(number);
  }
  if (numbers.size() == 1) return numbers;
  if (numbers.size() > 3 || numbers[0] > numbers[1]) return error();
  const int step = numbers.size() == 3 ? numbers[2] : 1;
  std::vector<int> levels;
  for (int level = numbers[0]; level <= numbers[1]; level += step) levels.push_back(level);
  return levels;
}

}  // namespace lossd
