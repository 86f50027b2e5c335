#ifndef LOSSD_BASE_WORKSPACE_H_
#define LOSSD_BASE_WORKSPACE_H_

#include <algorithm>
#include <cstddef>
#include <map>
#include <memory>
#include <mutex>
#include <utility>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "absl/types/span.h"

namespace lossd {

// Where a workspace's memory comes from: the system. A device may know better. Thread-safe.
class ChunkMemory {
 public:
  ChunkMemory() = default;
  virtual ~ChunkMemory() = default;
  ChunkMemory(const ChunkMemory&) = delete;
  ChunkMemory& operator=(const ChunkMemory&) = delete;

  // Throws std::bad_alloc.
  virtual std::byte* Take(size_t bytes, size_t alignment);
  virtual void Give(std::byte* chunk, size_t bytes, size_t alignment) noexcept;
};

// Scratch memory that outlives a call, so that a server does not ask the system for the same
// megabytes with every request. What one buffer gives back serves others, whole or in parts.
// Thread-safe: concurrent calls may share one workspace. When no buffer is held, it keeps at most
// twice what was held at the peak; before it grows beyond that peak, what nobody holds goes; and
// what nobody has needed lately goes where Decay is called.
class Workspace {
 public:
  // An uninitialised array of trivial values, borrowed until destruction.
  template <typename T>
  class Buffer {
   public:
    Buffer() = default;
    Buffer(Workspace& workspace, size_t size)
        : workspace_(&workspace), bytes_(workspace.Take(size * sizeof(T))), size_(size) {}
    Buffer(Buffer&& other) noexcept { *this = std::move(other); }
    Buffer& operator=(Buffer&& other) noexcept {
      std::swap(workspace_, other.workspace_);
      std::swap(bytes_, other.bytes_);
      std::swap(size_, other.size_);
      return *this;
    }
    ~Buffer() {
      if (workspace_ != nullptr) workspace_->Give(bytes_);
    }

    T* data() const { return reinterpret_cast<T*>(bytes_.data()); }
    size_t size() const { return size_; }
    T* begin() const { return data(); }
    T* end() const { return data() + size_; }
    T& operator[](size_t i) const { return data()[i]; }

   private:
    Workspace* workspace_ = nullptr;
    absl::Span<std::byte> bytes_;
    size_t size_ = 0;
  };

  Workspace() : Workspace(std::make_shared<ChunkMemory>()) {}
  explicit Workspace(std::shared_ptr<ChunkMemory> memory) : memory_(std::move(memory)) {}
  Workspace(const Workspace&) = delete;
  Workspace& operator=(const Workspace&) = delete;

  // Bytes this workspace has asked the system for, in use or kept.
  size_t bytes() const;

  // Those of them that nobody holds.
  size_t kept() const;

  // Gives back all that nobody holds, but for parts of what somebody does.
  void GiveBack();

  // Gives back what has not been needed for one to two of these periods. To be called now and then,
  // more often than that.
  static constexpr absl::Duration kPeriod = absl::Seconds(30);
  void Decay(absl::Time now = absl::Now());

 private:
  struct Release {
    ChunkMemory* memory;
    size_t bytes;
    size_t alignment;
    void operator()(std::byte* chunk) const;
  };
  using Chunk = std::unique_ptr<std::byte, Release>;

  absl::Span<std::byte> Take(size_t bytes);
  void Give(absl::Span<std::byte> bytes);
  // Memory from the system, of at least so many bytes.
  std::pair<std::byte*, size_t> AddChunk(size_t bytes);
  // Takes chunks away that nobody holds a part of, as long as more(size of the next) is true.
  template <typename More>
  std::vector<Chunk> TakeFreeChunks(More more);
  size_t Peak() const { return std::max(peak_, peak_before_); }

  const std::shared_ptr<ChunkMemory> memory_;
  mutable std::mutex mutex_;
  std::vector<Chunk> chunks_;
  std::map<std::byte*, size_t> free_;         // Ranges of the chunks that nobody holds.
  size_t bytes_ = 0;                          // Of the chunks.
  size_t held_ = 0;                           // Of the buffers.
  size_t peak_ = 0;                           // The most they were in this period,
  size_t peak_before_ = 0;                    // and in the one before.
  absl::Time period_ = absl::InfinitePast();  // When this one began.
};

}  // namespace lossd

#endif  // LOSSD_BASE_WORKSPACE_H_
