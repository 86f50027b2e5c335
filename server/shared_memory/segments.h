#ifndef SERVER_SHARED_MEMORY_SEGMENTS_H_
#define SERVER_SHARED_MEMORY_SEGMENTS_H_

#include <cstdint>
#include <memory>
#include <mutex>
#include <string>

#include "absl/container/flat_hash_map.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lossd/shared_memory/file_descriptor.h"
#include "lossd/shared_memory/mapping.h"

namespace lossd {

// 16 bytes that nobody can guess.
std::string DrawToken();

// The memory that clients share with this server, by token. Whoever has found a segment may use it
// as long as it likes, forgotten or not. Thread-safe.
class Segments {
 public:
  using Segment = std::shared_ptr<const Mapping>;

  // All segments together may have `max_bytes`.
  explicit Segments(int64_t max_bytes) : max_bytes_(max_bytes) {}

  // Takes a client's file in: its token. It must be a memfd of ordinary pages, of exactly `size`
  // bytes and sealed so that it keeps them: nothing then makes touching its memory fail. Errors:
  // INVALID_ARGUMENT for what is none, RESOURCE_EXHAUSTED for too many bytes.
  absl::StatusOr<std::string> Take(const FileDescriptor& file, uint64_t size);

  // Whether there was such a segment.
  bool Forget(absl::string_view token);

  // The segment; null where there is none.
  Segment Find(absl::string_view token) const;

  // Bytes of all, those included that are forgotten but in use.
  int64_t bytes() const;

 private:
  // How many bytes are taken; outlives segments that are in use.
  struct Account {
    mutable std::mutex mutex;
    int64_t bytes = 0;
  };

  const int64_t max_bytes_;
  const std::shared_ptr<Account> account_ = std::make_shared<Account>();
  mutable std::mutex mutex_;
  absl::flat_hash_map<std::string, Segment> segments_;
};

}  // namespace lossd

#endif  // SERVER_SHARED_MEMORY_SEGMENTS_H_
