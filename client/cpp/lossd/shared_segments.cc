#include "lossd/shared_segments.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <functional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lossd/shared_memory/segment_packets.h"
#include "lossd/shared_memory/unix_socket.h"

namespace lossd {
namespace {

// The server answers at once, unless it has been stopped.
constexpr absl::Duration kTimeout = absl::Seconds(10);
// How often who waits for it looks whether the call is given up.
constexpr absl::Duration kLook = absl::Milliseconds(20);
// Sizes of segments are multiples of this, so that those of one call do for similar ones.
constexpr size_t kUnit = size_t{2} << 20;
// Segments that are kept though nobody uses them, and for how long.
constexpr size_t kMostIdle = 4;
constexpr absl::Duration kIdleTime = absl::Minutes(1);

absl::StatusOr<FileDescriptor> MakeSegment(size_t bytes) {
  FileDescriptor file(memfd_create("lossd", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!file.valid() || ftruncate(file.get(), static_cast<off_t>(bytes)) != 0 ||
      fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0) {
    return absl::ErrnoToStatus(errno, "cannot make a segment of shared memory");
  }
  return file;
}

}  // namespace

absl::StatusOr<std::shared_ptr<SharedSegments>> SharedSegments::Connect(
    const std::string& socket, const std::string& instance) {
  absl::StatusOr<FileDescriptor> connected = ConnectToUnixSocket(socket, kTimeout);
  if (!connected.ok()) return connected.status();
  const absl::StatusOr<Packet> greeting = ReceivePacket(*connected);
  if (!greeting.ok()) {
    return absl::FailedPreconditionError(
        absl::StrCat("the server at ", socket, " shares no memory with this process"));
  }
  if (greeting->bytes != instance) {
    return absl::FailedPreconditionError(absl::StrCat("another server listens at ", socket));
  }
  return std::shared_ptr<SharedSegments>(new SharedSegments(*std::move(connected)));
}

absl::Status SharedSegments::Waiting::over() const {
  absl::Status given_up = control.status();
  if (given_up.ok() && absl::Now() >= deadline) {
    return absl::DeadlineExceededError("the server takes no segments of shared memory in time");
  }
  return given_up;
}

absl::StatusOr<SharedSegments::Loan> SharedSegments::Borrow(size_t bytes,
                                                            const CallControl& control,
                                                            absl::Time deadline) {
  {
    const std::lock_guard lock(mutex_);
    Decay();
    auto best = idle_.end();
    for (auto segment = idle_.begin(); segment != idle_.end(); ++segment) {
      const size_t size = segment->mapping.bytes().size();
      if (size >= bytes && (best == idle_.end() || size < best->mapping.bytes().size())) {
        best = segment;
      }
    }
    if (best != idle_.end()) {
      Segment found = std::move(*best);
      idle_.erase(best);
      return Loan(shared_from_this(), std::move(found));
    }
  }
  absl::StatusOr<Segment> made =
      Share((bytes + kUnit - 1) / kUnit * kUnit, {.control = control, .deadline = deadline});
  if (!made.ok()) return made.status();
  return Loan(shared_from_this(), *std::move(made));
}

bool SharedSegments::lost() const {
  const std::lock_guard lock(mutex_);
  return lost_;
}

absl::StatusOr<SharedSegments::Segment> SharedSegments::Share(size_t bytes,
                                                              const Waiting& waiting) {
  const absl::StatusOr<FileDescriptor> file = MakeSegment(bytes);
  if (!file.ok()) return file.status();
  // All at once is several times as fast as page by page.
  absl::StatusOr<Mapping> mapping = Mapping::Of(*file, bytes, /*populate=*/true);
  if (!mapping.ok()) return mapping.status();
  absl::StatusOr<std::string> token = Offer(bytes, *file, waiting);
  if (!token.ok()) return token.status();
  return Segment{
      .token = *std::move(token), .mapping = *std::move(mapping), .last_used = absl::Now()};
}

absl::StatusOr<std::string> SharedSegments::Offer(size_t bytes, const FileDescriptor& file,
                                                  const Waiting& waiting) {
  std::unique_lock lock(mutex_);
  while (talking_) {
    if (absl::Status over = waiting.over(); !over.ok()) return over;
    silent_.wait_until(lock, absl::ToChronoTime(absl::Now() + kLook));
  }
  if (lost_) return absl::UnavailableError("the server shares memory no more");
  talking_ = true;
  lock.unlock();
  absl::StatusOr<std::string> token = Talk(bytes, file, waiting);
  lock.lock();
  talking_ = false;
  if (!token.ok() && !absl::IsResourceExhausted(token.status())) Lose();
  SayForgotten();
  silent_.notify_all();
  return token;
}

absl::StatusOr<std::string> SharedSegments::Talk(size_t bytes, const FileDescriptor& file,
                                                 const Waiting& waiting) {
  if (absl::Status sent = SendPacket(socket_, MakeOffer(bytes), &file); !sent.ok()) {
    return absl::UnavailableError(sent.message());
  }
  for (; answers_due_ > 0; --answers_due_) {
    if (absl::Status late = Receive(waiting).status(); !late.ok()) return late;
  }
  const absl::StatusOr<std::string> answer = Receive(waiting);
  if (!answer.ok()) return answer.status();
  if (!answer->empty() && answer->front() == kRefused) {
    return absl::ResourceExhaustedError(answer->substr(1));
  }
  if (answer->size() != 1 + kTokenBytes || answer->front() != kDone) {
    return absl::InternalError("the server's socket: neither a token nor a reason");
  }
  return answer->substr(1);
}

absl::StatusOr<std::string> SharedSegments::Receive(const Waiting& waiting) const {
  pollfd socket = {.fd = socket_.get(), .events = POLLIN, .revents = 0};
  const absl::Time end = absl::Now() + kTimeout;
  while (poll(&socket, 1, static_cast<int>(absl::ToInt64Milliseconds(kLook))) <= 0) {
    if (absl::Status over = waiting.over(); !over.ok()) return over;
    if (absl::Now() >= end) return absl::UnavailableError("the server's socket stands still");
  }
  absl::StatusOr<Packet> packet = ReceivePacket(socket_);
  if (!packet.ok()) return absl::UnavailableError(packet.status().message());
  return std::move(packet->bytes);
}

void SharedSegments::Return(Segment segment, bool in_use) {
  const std::lock_guard lock(mutex_);
  if (lost_) return;
  if (in_use) {
    Forget(std::move(segment));
  } else {
    segment.last_used = absl::Now();
    idle_.push_back(std::move(segment));
    Decay();
  }
}

void SharedSegments::Decay() {
  const absl::Time old = absl::Now() - kIdleTime;
  // Those of a size that is out of use go first.
  std::ranges::sort(idle_, std::greater(), &Segment::last_used);
  while (!idle_.empty() && (idle_.size() > kMostIdle || idle_.back().last_used < old)) {
    Segment oldest = std::move(idle_.back());
    idle_.pop_back();
    Forget(std::move(oldest));
  }
}

void SharedSegments::Forget(Segment segment) {
  forgotten_.push_back(std::move(segment.token));
  SayForgotten();
}

void SharedSegments::SayForgotten() {
  if (talking_) return;
  for (const std::string& token : std::exchange(forgotten_, {})) {
    if (lost_) return;
    if (SendPacket(socket_, token).ok()) {
      ++answers_due_;
    } else {
      Lose();
    }
  }
}

void SharedSegments::Lose() {
  lost_ = true;
  // The server lets go of what nobody can name any more.
  shutdown(socket_.get(), SHUT_RDWR);
  idle_.clear();
}

}  // namespace lossd
