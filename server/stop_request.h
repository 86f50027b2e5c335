#ifndef SERVER_STOP_REQUEST_H_
#define SERVER_STOP_REQUEST_H_

#include <sys/types.h>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "lossd/shared_memory/file_descriptor.h"

namespace lossd {

// What has the server stop: SIGTERM, SIGINT, or the end of the process that started it for itself.
class StopRequest {
 public:
  // Blocks both signals, so it comes before any thread exists. `parent` must be the parent process,
  // which is watched from here on, however it ends; 0 for a server that outlives its parent.
  static absl::StatusOr<StopRequest> Watch(pid_t parent);

  // Whether it has come; waits for it for at most so long.
  bool Await(absl::Duration timeout) const;

  // From here on a second signal ends the process at once.
  static void EndAtOnce();

 private:
  StopRequest(FileDescriptor signals, FileDescriptor parent);

  FileDescriptor signals_;
  FileDescriptor parent_;
};

}  // namespace lossd

#endif  // SERVER_STOP_REQUEST_H_
