#ifndef LOSSD_SHARED_MEMORY_NEGOTIATION_H_
#define LOSSD_SHARED_MEMORY_NEGOTIATION_H_

#include <memory>
#include <mutex>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lossd/call_control.h"
#include "lossd/introduction.h"
#include "lossd/shared_segments.h"
#include "lossd/v1/service.grpc.pb.h"

namespace lossd {

// Whether a connection's server is on this host and shares memory, which is found out once.
// Thread-safe.
class SharedMemoryNegotiation {
 public:
  // Segments to share with the server. FAILED_PRECONDITION where that cannot be, now and later on;
  // the server's status when it cannot be asked, which is told who asks.
  absl::StatusOr<std::shared_ptr<SharedSegments>> Get(v1::LossService::Stub& stub,
                                                      const Introduction& introduction,
                                                      CallControl& control, absl::Time deadline);

  // These are of no use any more: Get finds others.
  void Leave(const std::shared_ptr<SharedSegments>& segments);

  // Nor are others; the reason, for people.
  void Refuse(absl::string_view why);

 private:
  std::mutex mutex_;
  std::optional<absl::StatusOr<std::shared_ptr<SharedSegments>>> found_;  // Guarded by mutex_.
};

}  // namespace lossd

#endif  // LOSSD_SHARED_MEMORY_NEGOTIATION_H_
