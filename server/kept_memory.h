#ifndef SERVER_KEPT_MEMORY_H_
#define SERVER_KEPT_MEMORY_H_

#include <cstdint>
#include <mutex>

#include "absl/time/time.h"
#include "server/handlers.h"

namespace lossd {

// The memory that the process keeps for calls to come: scratch, what tensors arrive in, what malloc
// has not given back. It is welcome as long as nobody needs its place. Thread-safe.
class KeptMemory {
 public:
  // Together with what calls have reserved it shall not have more than `most` bytes. `handlers`
  // must outlive it. To be made while nothing is computed.
  KeptMemory(Handlers& handlers, int64_t most);

  // Gives it back if calls that have `reserved` bytes, `granted` of them just now, need its place.
  void MakeRoom(int64_t granted, int64_t reserved);

 private:
  Handlers& handlers_;
  const int64_t most_;
  const int64_t base_;  // What the process has when it is idle.
  std::mutex mutex_;
  absl::Time looked_ = absl::InfinitePast();  // When it was found out
  int64_t most_kept_ = 0;                     // how much can be kept; since then, granted is more.
};

}  // namespace lossd

#endif  // SERVER_KEPT_MEMORY_H_
