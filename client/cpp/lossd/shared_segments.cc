#include "lossd/shared_segments.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lossd/shared_memory/segment_packets.h"
#include "lossd/shared_memory/unix_socket.h"

namespace lossd {
namespace {

// The server answers at once, unless it has been stopped.
constexpr absl::Duration kTimeout = absl::Seconds(10);
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

absl::StatusOr<SharedSegments::Loan> SharedSegments::Borrow(size_t bytes) {
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
  absl::StatusOr<Segment> made = Share((bytes + kUnit - 1) / kUnit * kUnit);
  if (!made.ok()) return made.status();
  return Loan(shared_from_this(), *std::move(made));
}

absl::StatusOr<SharedSegments::Segment> SharedSegments::Share(size_t bytes) {
  const absl::StatusOr<FileDescriptor> file = MakeSegment(bytes);
  if (!file.ok()) return file.status();
  // All at once is several times as fast as page by page.
  absl::StatusOr<Mapping> mapping = Mapping::Of(*file, bytes, /*populate=*/true);
  if (!mapping.ok()) return mapping.status();
  absl::StatusOr<std::string> token = Offer(bytes, *file);
  if (!token.ok()) return token.status();
  return Segment{
      .token = *std::move(token), .mapping = *std::move(mapping), .last_used = absl::Now()};
}

void SharedSegments::Return(Segment segment, bool in_use) {
  const std::lock_guard lock(mutex_);
  if (in_use) return Forget(segment);
  segment.last_used = absl::Now();
  idle_.push_back(std::move(segment));
  Decay();
}

void SharedSegments::Decay() {
  const absl::Time old = absl::Now() - kIdleTime;
  std::erase_if(idle_, [&](const Segment& segment) {
    if (segment.last_used >= old) return false;
    Forget(segment);
    return true;
  });
  // Those of a size that is out of use go first.
  while (idle_.size() > kMostIdle) {
    const auto oldest = std::ranges::min_element(idle_, {}, &Segment::last_used);
    Forget(*oldest);
    idle_.erase(oldest);
  }
}

void SharedSegments::Forget(const Segment& segment) {
  // A server that is gone has forgotten it.
  if (SendPacket(socket_, segment.token).ok()) ++answers_due_;
}

absl::StatusOr<std::string> SharedSegments::Offer(size_t bytes, const FileDescriptor& file) {
  if (absl::Status sent = SendPacket(socket_, MakeOffer(bytes), &file); !sent.ok()) return sent;
  for (; answers_due_ > 0; --answers_due_) {
    if (absl::Status late = ReceivePacket(socket_).status(); !late.ok()) return late;
  }
  absl::StatusOr<Packet> answer = ReceivePacket(socket_);
  if (!answer.ok()) return answer.status();
  if (answer->bytes.empty()) return absl::InternalError("the server's socket: an empty answer");
  if (answer->bytes[0] != kDone) return absl::ResourceExhaustedError(answer->bytes.substr(1));
  return answer->bytes.substr(1);
}

}  // namespace lossd
