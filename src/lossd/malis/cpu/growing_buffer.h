#ifndef LOSSD_MALIS_CPU_GROWING_BUFFER_H_
#define LOSSD_MALIS_CPU_GROWING_BUFFER_H_

#include <algorithm>
#include <cstddef>
#include <utility>

#include "lossd/base/workspace.h"

namespace lossd {

// What std::vector is for trivial values, with a workspace's memory.
template <typename T>
class GrowingBuffer {
 public:
  GrowingBuffer() = default;  // To be assigned to.
  explicit GrowingBuffer(Workspace& workspace) : workspace_(&workspace) {}

  // How many values there may be in the end: where they become many, room is made for that number
  // at once, as it takes its time to copy millions.
  void Expect(size_t at_most) { at_most_ = at_most; }

  void PushBack(const T& value) {
    if (size_ == buffer_.size()) Reserve(size_ < kMany ? size_ + 1 : std::max(size_ + 1, at_most_));
    buffer_[size_++] = value;
  }

  // Makes room for `capacity` values in all.
  void Reserve(size_t capacity) {
    if (capacity <= buffer_.size()) return;
    Workspace::Buffer<T> larger(*workspace_, std::max<size_t>({1024, capacity, 2 * size_}));
    std::copy_n(buffer_.data(), size_, larger.data());
    buffer_ = std::move(larger);
  }

  // Values between the old and the new size are what was written there, within the capacity.
  void Resize(size_t size) { size_ = size; }

  size_t size() const { return size_; }
  T* data() const { return buffer_.data(); }
  T& operator[](size_t i) const { return buffer_[i]; }
  T* begin() const { return data(); }
  T* end() const { return data() + size_; }

 private:
  static constexpr size_t kMany = 1 << 18;

  Workspace* workspace_ = nullptr;
  Workspace::Buffer<T> buffer_;
  size_t size_ = 0;
  size_t at_most_ = 0;
};

}  // namespace lossd

#endif  // LOSSD_MALIS_CPU_GROWING_BUFFER_H_
