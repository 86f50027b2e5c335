#include "server/log.h"

#include <spdlog/pattern_formatter.h>

#include <cmath>
#include <memory>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"

namespace lossd {
namespace {

// A JSON string. Bytes that are no printable ASCII are written as \u00xx: the log stays readable
// whatever a client sent, at the price of UTF-8 shown byte by byte.
std::string Quoted(absl::string_view text) {
  std::string quoted = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') {
      quoted.append({'\\', c});
    } else if (c >= ' ' && c <= '~') {
      quoted.push_back(c);
    } else {
      absl::StrAppendFormat(&quoted, "\\u%04x", static_cast<unsigned char>(c));
    }
  }
  quoted.push_back('"');
  return quoted;
}

}  // namespace

LogField::LogField(absl::string_view name, absl::string_view value)
    : name_(name), json_(Quoted(value)) {}

LogField::LogField(absl::string_view name, double value)
    : name_(name), json_(std::isfinite(value) ? absl::StrCat(value) : "null") {}

LogField::LogField(absl::string_view name, int64_t value)
    : name_(name), json_(absl::StrCat(value)) {}

Log::Log(Format format, spdlog::level::level_enum level, spdlog::sink_ptr sink)
    : format_(format), logger_("lossd", std::move(sink)) {
  const auto* pattern = format == Format::kText
                            ? "%Y-%m-%dT%H:%M:%S.%eZ %l %v"
                            : R"({"time":"%Y-%m-%dT%H:%M:%S.%eZ","level":"%l",%v})";
  logger_.set_formatter(
      std::make_unique<spdlog::pattern_formatter>(pattern, spdlog::pattern_time_type::utc));
  logger_.set_level(level);
  logger_.flush_on(spdlog::level::info);
}

void Log::Write(spdlog::level::level_enum level, absl::string_view request, absl::string_view event,
                absl::Span<const LogField> fields) {
  if (!Writes(level)) return;
  std::string line;
  if (format_ == Format::kText) {
    line = request.empty() ? std::string(event) : absl::StrCat("[", request, "] ", event);
    for (const LogField& field : fields) {
      absl::StrAppend(&line, " ", field.name(), "=", field.json());
    }
  } else {
    if (!request.empty()) absl::StrAppend(&line, "\"request\":", Quoted(request), ",");
    absl::StrAppend(&line, "\"event\":", Quoted(event));
    for (const LogField& field : fields) {
      absl::StrAppend(&line, ",", Quoted(field.name()), ":", field.json());
    }
  }
  logger_.log(level, spdlog::string_view_t(line.data(), line.size()));
}

}  // namespace lossd
