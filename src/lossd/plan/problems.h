#ifndef LOSSD_PLAN_PROBLEMS_H_
#define LOSSD_PLAN_PROBLEMS_H_

#include <cmath>
#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lossd/base/error.h"

namespace lossd {

// Collects mistakes, each about a field below `path`.
class Problems {
 public:
  Problems(std::string path, std::vector<absl::Status>& found)
      : path_(std::move(path)), found_(found) {}

  void Add(absl::string_view field, absl::string_view message) {
    found_.push_back(FieldError(Path(field), message));
  }
  void Add(absl::string_view field, absl::string_view given, absl::string_view expected) {
    found_.push_back(FieldError(Path(field), given, expected));
  }
  void AddStatus(absl::string_view prefix, const absl::Status& status) {
    found_.push_back(InField(Path(prefix), status));
  }

  std::string Path(absl::string_view field) const {
    return path_.empty() ? std::string(field) : absl::StrCat(path_, ".", field);
  }

 private:
  std::string path_;
  std::vector<absl::Status>& found_;
};

// A number that is finite in float32, in which losses are computed.
inline void CheckNumber(absl::string_view field, double value, Problems& problems) {
  if (std::abs(value) <= std::numeric_limits<float>::max()) return;
  problems.Add(field, absl::StrCat(value), "a number that is finite in float32");
}

}  // namespace lossd

#endif  // LOSSD_PLAN_PROBLEMS_H_
