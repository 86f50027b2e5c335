#ifndef SERVER_LOG_H_
#define SERVER_LOG_H_

#include <spdlog/logger.h>

#include <string>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lossd {

// A named value in a line of the log.
class LogField {
 public:
  LogField(absl::string_view name, absl::string_view value);
  LogField(absl::string_view name, double value);
  LogField(absl::string_view name, int64_t value);

  absl::string_view name() const { return name_; }
  absl::string_view json() const { return json_; }

 private:
  absl::string_view name_;
  std::string json_;
};

// The server's log: one line an event, as text
//   2026-01-31T12:00:00.000Z info [f00dcafe] computed terms=3 seconds=0.21
// or as JSON
//   {"time":"2026-01-31T12:00:00.000Z","level":"info","request":"f00dcafe","event":"computed","terms":3,"seconds":0.21}
// Values are quoted so that nothing a client sends can forge a line. Thread-safe.
class Log {
 public:
  enum class Format { kText, kJson };

  // Writes lines of at least `level` to `sink`.
  Log(Format format, spdlog::level::level_enum level, spdlog::sink_ptr sink);

  // Whether lines of that level are written at all.
  bool Writes(spdlog::level::level_enum level) const { return logger_.should_log(level); }

  // `request` is the id of the request that the event belongs to; empty for none. `event` is a few
  // words of ours.
  void Write(spdlog::level::level_enum level, absl::string_view request, absl::string_view event,
             absl::Span<const LogField> fields = {});

 private:
  const Format format_;
  spdlog::logger logger_;
};

}  // namespace lossd

#endif  // SERVER_LOG_H_
