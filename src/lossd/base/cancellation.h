#ifndef LOSSD_BASE_CANCELLATION_H_
#define LOSSD_BASE_CANCELLATION_H_

#include <atomic>
#include <mutex>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace lossd {

// Whether anybody still waits for what is being computed: one token a request. It fires once, for
// good, when somebody cancels, its deadline passes, or the token above it fires, which may stand
// for all requests of a server. Thread-safe.
class Cancellation {
 public:
  // `above` may be null, and else outlives this.
  explicit Cancellation(absl::Time deadline = absl::InfiniteFuture(),
                        const Cancellation* above = nullptr)
      : deadline_(deadline), above_(above) {}
  virtual ~Cancellation() = default;

  Cancellation(const Cancellation&) = delete;
  Cancellation& operator=(const Cancellation&) = delete;

  // `reason` is not OK; of several, the first stays.
  void Cancel(absl::Status reason) { Fire(std::move(reason)); }

  // Cheap enough to be asked every few microseconds. Once true, true for every thread that learns
  // of it, so what one thread leaves out on its account no other takes for done.
  virtual bool Fired() const;

  // OK until it has fired; then the reason: DEADLINE_EXCEEDED when the deadline passed.
  absl::Status status() const;

 protected:
  void Fire(absl::Status reason) const;

 private:
  const absl::Time deadline_;
  const Cancellation* const above_;
  mutable std::mutex mutex_;
  mutable absl::Status reason_;  // Guarded by mutex_.
  mutable std::atomic<bool> fired_ = false;
};

}  // namespace lossd

#endif  // LOSSD_BASE_CANCELLATION_H_
