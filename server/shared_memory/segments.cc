#include "server/shared_memory/segments.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "lossd/shared_memory/segment_packets.h"

namespace lossd {
namespace {

constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW;

// Whether memory of the file stays where it is. Other files can be truncated or run out of space,
// which ends the process that touches them.
absl::Status CheckSegment(const FileDescriptor& file, uint64_t size) {
  struct statfs system = {};
  if (fstatfs(file.get(), &system) != 0 || system.f_type != TMPFS_MAGIC) {
    return absl::InvalidArgumentError("a segment must be a memfd of ordinary pages");
  }
  const int seals = fcntl(file.get(), F_GET_SEALS);
  if (seals < 0 || (seals & kSeals) != kSeals) {
    return absl::InvalidArgumentError(
        "a segment must be a memfd that is sealed with F_SEAL_SHRINK and F_SEAL_GROW");
  }
  struct stat found = {};
  if (fstat(file.get(), &found) != 0) return absl::InvalidArgumentError("a segment without a size");
  if (size == 0 || std::cmp_not_equal(found.st_size, size)) {
    return absl::InvalidArgumentError(
        absl::StrCat("a segment of ", found.st_size, " bytes, announced as one of ", size));
  }
  return absl::OkStatus();
}

}  // namespace

std::string DrawToken() {
  std::string token(kTokenBytes, '\0');
  // It cannot fail for so few bytes.
  [[maybe_unused]] const int drawn = getentropy(token.data(), token.size());
  return token;
}

absl::StatusOr<std::string> Segments::Take(const FileDescriptor& file, uint64_t size) {
  if (absl::Status checked = CheckSegment(file, size); !checked.ok()) return checked;
  const auto bytes = static_cast<int64_t>(size);
  {
    const std::lock_guard lock(account_->mutex);
    if (bytes > max_bytes_ - account_->bytes) {
      return absl::ResourceExhaustedError(
          absl::StrCat("a segment of ", bytes, " bytes: the server's shared_memory_max_bytes is ",
                       max_bytes_, ", of which ", account_->bytes, " are taken"));
    }
    account_->bytes += bytes;
  }
  const std::shared_ptr<void> booked(nullptr, [account = account_, bytes](void*) {
    const std::lock_guard lock(account->mutex);
    account->bytes -= bytes;
  });
  absl::StatusOr<Mapping> mapping = Mapping::Of(file, size);
  if (!mapping.ok()) return mapping.status();
  struct Booked {
    std::shared_ptr<void> account;  // Credited after the memory is gone.
    Mapping mapping;
  };
  auto held = std::make_shared<Booked>(booked, *std::move(mapping));
  const Mapping* const memory = &held->mapping;
  std::string token = DrawToken();
  const std::lock_guard lock(mutex_);
  segments_.emplace(token, Segment(std::move(held), memory));
  return token;
}

bool Segments::Forget(absl::string_view token) {
  Segment last;  // Unmapped when nobody waits for it any more.
  const std::lock_guard lock(mutex_);
  const auto found = segments_.find(token);
  if (found == segments_.end()) return false;
  last = std::move(found->second);
  segments_.erase(found);
  return true;
}

Segments::Segment Segments::Find(absl::string_view token) const {
  const std::lock_guard lock(mutex_);
  const auto found = segments_.find(token);
  return found == segments_.end() ? nullptr : found->second;
}

int64_t Segments::bytes() const {
  const std::lock_guard lock(account_->mutex);
  return account_->bytes;
}

}  // namespace lossd
