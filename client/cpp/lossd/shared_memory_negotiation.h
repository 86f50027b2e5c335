#ifndef LOSSD_SHARED_MEMORY_NEGOTIATION_H_
#define LOSSD_SHARED_MEMORY_NEGOTIATION_H_

#include <memory>
#include <mutex>
#include <optional>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
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
                                                      absl::Time deadline);

 private:
  std::mutex mutex_;
  std::optional<absl::StatusOr<std::shared_ptr<SharedSegments>>> found_;  // Guarded by mutex_.
};

}  // namespace lossd

#endif  // LOSSD_SHARED_MEMORY_NEGOTIATION_H_
