#ifndef SERVER_KEPT_MEMORY_H_
#define SERVER_KEPT_MEMORY_H_

#include <cstdint>

#include "server/handlers.h"

namespace lossd {

// The memory that the process keeps for calls to come: scratch, what tensors arrive in, what malloc
// has not given back. It is welcome as long as nobody needs its place. Thread-safe.
class KeptMemory {
 public:
  // Together with what calls have reserved it shall not have more than `most` bytes. `handlers`
  // must outlive it. To be made while nothing is computed.
  KeptMemory(Handlers& handlers, int64_t most);

  // Gives it back if calls that have reserved so many bytes need its place.
  void MakeRoom(int64_t reserved) const;

 private:
  Handlers& handlers_;
  const int64_t most_;
  const int64_t base_;  // What the process has when it is idle.
};

}  // namespace lossd

#endif  // SERVER_KEPT_MEMORY_H_
