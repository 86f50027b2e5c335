#include "lossd/base/workspace.h"

#include <sys/mman.h>

#include <algorithm>
#include <iterator>
#include <new>

namespace lossd {
namespace {

// Buffers begin on cache lines.
constexpr size_t kAlignment = 64;
// Chunks of several huge pages consist of them: most of what happens in them is random access.
constexpr size_t kHugePage = size_t{1} << 21;
constexpr size_t kHugeChunk = 8 * kHugePage;
// Many small buffers share a chunk, so that what they give back becomes one range again.
constexpr size_t kSmallestChunk = size_t{1} << 20;

size_t RoundUp(size_t bytes, size_t unit) { return (bytes + unit - 1) / unit * unit; }

}  // namespace

std::byte* ChunkMemory::Take(size_t bytes, size_t alignment) {
  auto* const chunk = static_cast<std::byte*>(::operator new(bytes, std::align_val_t{alignment}));
  // A wish: where it is not granted, the pages are small.
  if (alignment == kHugePage) madvise(chunk, bytes, MADV_HUGEPAGE);
  return chunk;
}

void ChunkMemory::Give(std::byte* chunk, size_t /*bytes*/, size_t alignment) noexcept {
  ::operator delete(chunk, std::align_val_t{alignment});
}

void Workspace::Release::operator()(std::byte* chunk) const {
  memory->Give(chunk, bytes, alignment);
}

size_t Workspace::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

size_t Workspace::kept() const {
  const std::lock_guard lock(mutex_);
  return bytes_ - held_;
}

void Workspace::GiveBack() {
  std::vector<Chunk> unused;  // Go without the lock: the system takes its time.
  const std::lock_guard lock(mutex_);
  unused = TakeFreeChunks([](size_t /*size*/) { return true; });
}

absl::Span<std::byte> Workspace::Take(size_t bytes) {
  if (bytes == 0) return {};
  bytes = RoundUp(bytes, kAlignment);
  const std::lock_guard lock(mutex_);
  // The smallest range that fits.
  auto best = free_.end();
  for (auto range = free_.begin(); range != free_.end(); ++range) {
    if (range->second < bytes) continue;
    if (best == free_.end() || range->second < best->second) best = range;
  }
  if (best == free_.end()) best = free_.emplace(AddChunk(bytes)).first;
  const auto [begin, size] = *best;
  free_.erase(best);
  held_ += bytes;
  peak_ = std::max(peak_, held_);
  if (size > bytes) free_.emplace(begin + bytes, size - bytes);
  return {begin, bytes};
}

std::pair<std::byte*, size_t> Workspace::AddChunk(size_t bytes) {
  const size_t alignment = bytes >= kHugeChunk ? kHugePage : kAlignment;
  bytes = RoundUp(std::max(bytes, kSmallestChunk), alignment);
  const size_t most = std::max(Peak(), held_ + bytes);
  TakeFreeChunks([&](size_t /*size*/) { return bytes_ + bytes > most; });
  std::byte* const chunk = memory_->Take(bytes, alignment);
  chunks_.emplace_back(chunk,
                       Release{.memory = memory_.get(), .bytes = bytes, .alignment = alignment});
  bytes_ += bytes;
  return {chunk, bytes};
}

void Workspace::Give(absl::Span<std::byte> bytes) {
  if (bytes.empty()) return;
  const std::lock_guard lock(mutex_);
  held_ -= bytes.size();
  if (held_ == 0 && bytes_ > 2 * Peak()) {
    // Chunks of many sizes, each too small for what came next.
    free_.clear();
    chunks_.clear();
    bytes_ = 0;
    return;
  }
  auto range = free_.emplace(bytes.data(), bytes.size()).first;
  // One range with those that it touches. Chunks never touch: the system's own data lie between.
  const auto next = std::next(range);
  if (next != free_.end() && range->first + range->second == next->first) {
    range->second += next->second;
    free_.erase(next);
  }
  if (range == free_.begin()) return;
  const auto before = std::prev(range);
  if (before->first + before->second == range->first) {
    before->second += range->second;
    free_.erase(range);
  }
}

void Workspace::Decay(absl::Time now) {
  std::vector<Chunk> unused;  // Go without the lock: the system takes its time.
  const std::lock_guard lock(mutex_);
  if (now - period_ >= kPeriod) {
    peak_before_ = std::exchange(peak_, held_);
    period_ = now;
  }
  unused = TakeFreeChunks([this](size_t size) { return bytes_ - size >= Peak(); });
}

template <typename More>
std::vector<Workspace::Chunk> Workspace::TakeFreeChunks(More more) {
  std::vector<Chunk> taken;
  std::erase_if(chunks_, [&](Chunk& chunk) {
    const size_t size = chunk.get_deleter().bytes;
    const auto range = free_.find(chunk.get());
    const bool is_free = range != free_.end() && range->second == size;
    if (!is_free || !more(size)) return false;
    free_.erase(range);
    bytes_ -= size;
    taken.push_back(std::move(chunk));
    return true;
  });
  return taken;
}

}  // namespace lossd
