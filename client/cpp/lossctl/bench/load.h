#ifndef LOSSCTL_BENCH_LOAD_H_
#define LOSSCTL_BENCH_LOAD_H_

#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lossctl/bench/windows.h"
#include "lossd/result.h"

namespace lossd {

struct LoadOptions {
  // Requests under way at a time; with a rate, at most.
  int concurrency = 1;
  // Requests a second, whether earlier ones are answered or not. Absent: each of `concurrency`
  // senders waits for an answer before its next request.
  std::optional<double> rate = {};
  // Whether a busy server's refusals are counted; otherwise they are errors.
  bool refusals = false;
  // Requests in all. Absent: until the load goes.
  std::optional<int64_t> requests = {};
};

// Requests that are sent while it lives.
class Load {
 public:
  using Call = std::function<absl::StatusOr<Result>()>;

  // Begins. `call` sends a request and waits for its answer; several threads call it.
  Load(Call call, const LoadOptions& options);

  // Ends; requests under way are waited for.
  ~Load();

  Load(const Load&) = delete;
  Load& operator=(const Load&) = delete;

  // The requests that are answered from now on (or from the end of the last window, or the
  // beginning) until the window is at least so long and has at least so many of them, or there are
  // no more; and those that are refused meanwhile. The first error of a call, which ends the load.
  absl::StatusOr<Window> NextWindow(absl::Duration least_length, int64_t least_requests);

 private:
  void Work();
  // When the next request is due, once that is; nothing when there is none.
  std::optional<absl::Time> NextDue();
  void Take(absl::Time due, const absl::StatusOr<Result>& result);
  void Stop();

  const Call call_;
  const LoadOptions options_;
  const absl::Time start_;
  std::mutex mutex_;
  std::condition_variable changed_;   // Something was answered, or a thread or all has ended.
  std::condition_variable stopping_;  // The load ends. Answers would wake up all who wait for it.
  // All guarded by mutex_.
  bool stopped_ = false;
  int64_t begun_ = 0;  // Requests.
  int working_ = 0;    // Threads.
  absl::Status error_;
  absl::Time window_begin_;
  absl::Time last_answer_;
  std::vector<Sample> samples_;
  std::vector<absl::Duration> refusals_;

  std::vector<std::jthread> workers_;  // Last: they use all the others.
};

}  // namespace lossd

#endif  // LOSSCTL_BENCH_LOAD_H_
