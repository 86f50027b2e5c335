#ifndef LOSSCTL_JSON_H_
#define LOSSCTL_JSON_H_

#include <concepts>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"

namespace lossd {

// A value of JSON, as its text: null, or made of whatever a caller has.
class Json {
 public:
  using Member = std::pair<absl::string_view, Json>;

  Json() = default;
  // What is not finite is null: JSON has no word for it.
  Json(double number);            // NOLINT(google-explicit-constructor)
  Json(absl::string_view text);   // NOLINT(google-explicit-constructor)
  Json(const std::string& text);  // NOLINT(google-explicit-constructor)
  Json(const char* text);         // NOLINT(google-explicit-constructor)
  Json(absl::Duration time);      // NOLINT(google-explicit-constructor): In seconds.
  template <std::same_as<bool> T>
  Json(T truth) : text_(truth ? "true" : "false") {}  // NOLINT(google-explicit-constructor)
  template <std::integral T>
    requires(!std::same_as<T, bool>)
  Json(T number) : text_(absl::StrCat(number)) {}  // NOLINT(google-explicit-constructor)

  // In the order given.
  static Json Object(const std::vector<Member>& members);
  static Json List(const std::vector<Json>& items);

  const std::string& text() const { return text_; }

 private:
  std::string text_ = "null";
};

}  // namespace lossd

#endif  // LOSSCTL_JSON_H_
