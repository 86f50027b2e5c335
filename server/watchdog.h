#ifndef SERVER_WATCHDOG_H_
#define SERVER_WATCHDOG_H_

#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>

#include "absl/time/time.h"
#include "server/log.h"
#include "server/open_calls.h"

namespace lossd {

// Sees calls that are stuck: still computed long after their client was gone, although work looks
// every so often whether anybody waits for it. That is a fault, of ours, a library or a driver, and
// it takes worker after worker. Thread-safe.
class Watchdog {
 public:
  // A call is stuck that long after it was given up. `workers` compute. `calls` and `log` must
  // outlive it.
  Watchdog(const OpenCalls& calls, int workers, absl::Duration patience, Log& log)
      : calls_(calls), workers_(static_cast<size_t>(workers)), patience_(patience), log_(log) {}

  // To be called every few seconds: logs the calls that have got stuck. Once they have all workers,
  // the thread of the first of them: with the process there is nothing to be done any more but to
  // start it anew.
  std::optional<std::thread::native_handle_type> Look();

  // How many calls are stuck.
  int64_t stuck() const;

 private:
  std::vector<OpenCall> StuckCalls() const;

  const OpenCalls& calls_;
  const size_t workers_;
  const absl::Duration patience_;
  Log& log_;
  std::mutex mutex_;
  std::set<std::string> told_;  // Of these calls. Guarded by mutex_.
};

}  // namespace lossd

#endif  // SERVER_WATCHDOG_H_
