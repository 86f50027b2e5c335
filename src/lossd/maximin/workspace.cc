#include "lossd/maximin/workspace.h"

#include <cstdint>
#include <iterator>

namespace lossd {
namespace {

// Buffers begin on cache lines.
constexpr size_t kAlignment = 64;

}  // namespace

size_t MalisWorkspace::bytes() const {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

absl::Span<std::byte> MalisWorkspace::Take(size_t bytes) {
  if (bytes == 0) return {};
  bytes = (bytes + kAlignment - 1) / kAlignment * kAlignment;
  const std::lock_guard lock(mutex_);
  // The smallest range that fits.
  auto best = free_.end();
  for (auto range = free_.begin(); range != free_.end(); ++range) {
    if (range->second < bytes) continue;
    if (best == free_.end() || range->second < best->second) best = range;
  }
  if (best == free_.end()) {
    chunks_.push_back(std::make_unique_for_overwrite<std::byte[]>(bytes + kAlignment));
    bytes_ += bytes + kAlignment;
    std::byte* const begin = chunks_.back().get();
    return {begin + (kAlignment - reinterpret_cast<uintptr_t>(begin) % kAlignment), bytes};
  }
  const auto [begin, size] = *best;
  free_.erase(best);
  if (size > bytes) free_.emplace(begin + bytes, size - bytes);
  return {begin, bytes};
}

void MalisWorkspace::Give(absl::Span<std::byte> bytes) {
  if (bytes.empty()) return;
  const std::lock_guard lock(mutex_);
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

}  // namespace lossd
