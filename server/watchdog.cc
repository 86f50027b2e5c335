#include "server/watchdog.h"

#include <utility>
#include <vector>

#include "absl/time/clock.h"

namespace lossd {

std::vector<OpenCall> Watchdog::StuckCalls() const {
  std::vector<OpenCall> calls = calls_.List();
  const absl::Time latest = absl::Now() - patience_;
  std::erase_if(calls, [latest](const OpenCall& call) {
    return !call.computed_by.has_value() || call.given_up > latest;
  });
  return calls;
}

int64_t Watchdog::stuck() const { return static_cast<int64_t>(StuckCalls().size()); }

std::optional<std::thread::native_handle_type> Watchdog::Look() {
  const std::vector<OpenCall> stuck = StuckCalls();
  const std::lock_guard lock(mutex_);
  std::set<std::string> ids;
  for (const OpenCall& call : stuck) {
    ids.insert(call.id);
    if (told_.contains(call.id)) continue;
    log_.Write(spdlog::level::err, call.id, "stuck",
               {{"method", call.method},
                {"client", call.client},
                {"seconds", absl::ToDoubleSeconds(absl::Now() - call.start)},
                {"given_up_for", absl::ToDoubleSeconds(absl::Now() - call.given_up)}});
  }
  told_ = std::move(ids);
  if (stuck.size() < workers_) return std::nullopt;
  log_.Write(spdlog::level::err, "", "every worker is stuck, see the stack of one");
  return stuck.front().computed_by;
}

}  // namespace lossd
