#ifndef LOSSD_CALL_CONTROL_H_
#define LOSSD_CALL_CONTROL_H_

#include <grpcpp/client_context.h>

#include <condition_variable>
#include <mutex>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace lossd {

// How a call, in however many attempts, is given up by another thread than the one that makes it.
// Thread-safe.
class CallControl {
 public:
  // Ends the attempt that is under way, or the pause between two. `reason` is what becomes of the
  // call; of several, the first stays.
  void GiveUp(const absl::Status& reason);

  // OK until it was given up; then the reason.
  absl::Status status() const;

  // Waits, unless the call is given up.
  void Sleep(absl::Duration duration);

  // While it lives, the attempt is ended with the call; one that was there before is again when it
  // goes.
  class Attempt {
   public:
    Attempt(CallControl& control, grpc::ClientContext& context);
    ~Attempt();
    Attempt(const Attempt&) = delete;
    Attempt& operator=(const Attempt&) = delete;

   private:
    CallControl& control_;
    grpc::ClientContext* before_;
  };

 private:
  mutable std::mutex mutex_;
  std::condition_variable given_up_;
  absl::Status reason_;                       // Guarded by mutex_.
  grpc::ClientContext* under_way_ = nullptr;  // Guarded by mutex_.
};

}  // namespace lossd

#endif  // LOSSD_CALL_CONTROL_H_
