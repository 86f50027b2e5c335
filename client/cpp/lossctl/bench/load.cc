#include "lossctl/bench/load.h"

#include <utility>

#include "absl/time/clock.h"
#include "lossd/attempts.h"

namespace lossd {

Load::Load(Call call, const LoadOptions& options)
    : call_(std::move(call)),
      options_(options),
      start_(absl::Now()),
      working_(options.concurrency),
      window_begin_(start_) {
  for (int i = 0; i < options_.concurrency; ++i) workers_.emplace_back([this] { Work(); });
}

Load::~Load() { Stop(); }

void Load::Stop() {
  const std::lock_guard lock(mutex_);
  stopped_ = true;
  stopping_.notify_all();
}

void Load::Work() {
  while (const std::optional<absl::Time> due = NextDue()) Take(*due, call_());
  const std::lock_guard lock(mutex_);
  --working_;
  changed_.notify_all();
}

std::optional<absl::Time> Load::NextDue() {
  std::unique_lock lock(mutex_);
  if (stopped_ || begun_ == options_.requests) return std::nullopt;
  const int64_t index = begun_++;
  if (!options_.rate.has_value()) return absl::Now();
  const absl::Time due = start_ + absl::Seconds(static_cast<double>(index) / *options_.rate);
  stopping_.wait_until(lock, absl::ToChronoTime(due), [this] { return stopped_; });
  if (stopped_) return std::nullopt;
  return due;
}

void Load::Take(absl::Time due, const absl::StatusOr<Result>& result) {
  const absl::Time now = absl::Now();
  const bool refused = options_.refusals && IsBusy(result.status());
  if (!result.ok() && !refused) Stop();
  const std::lock_guard lock(mutex_);
  if (refused) {
    refusals_.push_back(now - due);
    return;
  }
  error_.Update(result.status());
  if (!result.ok()) return;
  samples_.push_back({.latency = now - due, .timings = result->timings, .bytes = result->bytes});
  last_answer_ = now;
  changed_.notify_all();
}

absl::StatusOr<Window> Load::NextWindow(absl::Duration least_length, int64_t least_requests) {
  std::unique_lock lock(mutex_);
  const auto over = [this] { return working_ == 0 || !error_.ok(); };
  changed_.wait_until(lock, absl::ToChronoTime(window_begin_ + least_length), over);
  changed_.wait(lock,
                [&] { return over() || static_cast<int64_t>(samples_.size()) >= least_requests; });
  if (!error_.ok()) return error_;
  const absl::Time end = working_ == 0 ? last_answer_ : absl::Now();
  Window window = {.samples = std::exchange(samples_, {}),
                   .refusals = std::exchange(refusals_, {}),
                   .length = end - window_begin_};
  window_begin_ = end;
  return window;
}

}  // namespace lossd
