#ifndef LOSSD_PROCESS_H_
#define LOSSD_PROCESS_H_

#include <unistd.h>

#include <memory>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lossd {

// The process in which something was made that a fork does not take along: threads, and gRPC with
// its own. A forked process has copies of their memory, and would wait for ever for what they do.
class Process {
 public:
  // Whether it is the one that asks.
  bool IsThis() const { return pid_ == getpid(); }

  // OK in that process; in one forked from it FAILED_PRECONDITION. `what` was made there.
  absl::Status Check(absl::string_view what) const;

  // For a destructor: keeps what was made there till the end of this process, which forked from it.
  static void Keep(std::shared_ptr<const void> of_parent);

 private:
  const pid_t pid_ = getpid();
};

}  // namespace lossd

#endif  // LOSSD_PROCESS_H_
