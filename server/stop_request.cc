#include "server/stop_request.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"

namespace lossd {
namespace {

sigset_t Signals() {
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  return signals;
}

// Becomes readable when that process ends. Unlike PR_SET_PDEATHSIG it does not mistake the end of
// the thread that started the server for it, and unlike a pipe it is not held open by children.
absl::StatusOr<FileDescriptor> WatchParent(pid_t parent) {
  // By its number: glibc 2.36 declares the function for C alone.
  FileDescriptor descriptor(static_cast<int>(syscall(SYS_pidfd_open, parent, 0)));
  if (!descriptor.valid() && errno != ESRCH && errno != EINVAL) {
    return absl::ErrnoToStatus(errno, absl::StrCat("cannot watch process ", parent));
  }
  // Asked afterwards: the number of a parent that is gone may be another process's by now.
  if (!descriptor.valid() || getppid() != parent) {
    return absl::FailedPreconditionError(absl::StrCat(
        "parent: got ", parent, ", expected the process that started this one, ", getppid()));
  }
  return descriptor;
}

}  // namespace

StopRequest::StopRequest(FileDescriptor signals, FileDescriptor parent)
    : signals_(std::move(signals)), parent_(std::move(parent)) {}

absl::StatusOr<StopRequest> StopRequest::Watch(pid_t parent) {
  const sigset_t signals = Signals();
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  FileDescriptor descriptor(signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!descriptor.valid()) return absl::ErrnoToStatus(errno, "cannot watch signals");
  if (parent == 0) return StopRequest(std::move(descriptor), FileDescriptor());
  absl::StatusOr<FileDescriptor> watched = WatchParent(parent);
  if (!watched.ok()) return watched.status();
  return StopRequest(std::move(descriptor), *std::move(watched));
}

bool StopRequest::Await(absl::Duration timeout) const {
  // poll() leaves out what is no descriptor.
  std::array<pollfd, 2> awaited = {{{.fd = signals_.get(), .events = POLLIN, .revents = 0},
                                    {.fd = parent_.get(), .events = POLLIN, .revents = 0}}};
  if (poll(awaited.data(), awaited.size(), static_cast<int>(absl::ToInt64Milliseconds(timeout))) <=
      0) {
    return false;
  }
  // Taken, as it would end the process once it is no longer blocked.
  signalfd_siginfo signal;
  return read(signals_.get(), &signal, sizeof(signal)) == sizeof(signal) || awaited[1].revents != 0;
}

void StopRequest::EndAtOnce() {
  const sigset_t signals = Signals();
  pthread_sigmask(SIG_UNBLOCK, &signals, nullptr);
}

}  // namespace lossd
