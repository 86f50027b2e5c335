#include "lossctl/json.h"

#include <cmath>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace lossd {
namespace {

// A string in double quotes, by the rules that JSON and YAML share.
std::string Quoted(absl::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      absl::StrAppend(&quoted, "\\", absl::string_view(&c, 1));
    } else if (static_cast<unsigned char>(c) < 0x20) {
      absl::StrAppendFormat(&quoted, "\\u%04x", c);
    } else {
      quoted += c;
    }
  }
  return quoted + '"';
}

}  // namespace

Json::Json(double number)
    : text_(std::isfinite(number) ? absl::StrFormat("%.17g", number) : "null") {}
Json::Json(absl::string_view text) : text_(Quoted(text)) {}
Json::Json(const std::string& text) : text_(Quoted(text)) {}
Json::Json(const char* text) : text_(Quoted(text)) {}
Json::Json(absl::Duration time) : text_(absl::StrFormat("%.9g", absl::ToDoubleSeconds(time))) {}

Json Json::Object(const std::vector<Member>& members) {
  Json object;
  object.text_ = absl::StrCat("{",
                              absl::StrJoin(members, ", ",
                                            [](std::string* out, const Member& member) {
                                              absl::StrAppend(out, Quoted(member.first), ": ",
                                                              member.second.text());
                                            }),
                              "}");
  return object;
}

Json Json::List(const std::vector<Json>& items) {
  Json list;
  list.text_ = absl::StrCat(
      "[",
      absl::StrJoin(items, ", ",
                    [](std::string* out, const Json& item) { absl::StrAppend(out, item.text()); }),
      "]");
  return list;
}

}  // namespace lossd
