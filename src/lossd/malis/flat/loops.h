#ifndef LOSSD_MALIS_FLAT_LOOPS_H_
#define LOSSD_MALIS_FLAT_LOOPS_H_

#include <cstddef>
#include <utility>

// What the flat algorithm is written in: a few parallel loops over flat arrays. They have two
// forms, HostLoops (host_loops.h) on a pool's threads and DeviceLoops (cuda/device_loops.cuh) in a
// CUDA stream. A form L, l being one of its objects, has these:
//
//   l.memory()                    Where arrays come from. Loops read and write no other memory.
//   l.For(n, body)                Calls body(i) for i in [0, n), in any order, at the same time.
//   l.Scan(n, sums)               Makes of each of n numbers the sum of those before it, and of
//                                 sums[n], where nothing needs to be, that of all.
//   l.Select(n, keep, make, out, count)  Stores make(i) of those i in [0, n) for which keep(i), in
//                                 ascending order, and in *count how many they are.
//   l.SortPairs(bits, keys, values)  Sorts both arrays by keys, stably.
//   l.SortKeys(bits, keys)           Keys are unsigned, and 0 above their low `bits`.
//   l.Upload(values, n, place)    Copies n values of the host, which it may then forget.
//   l.Fetch(place)                *place, for the host: waits.
//   l.FetchTwo(place)             place[0] and place[1], as an array.
//   l.Stopped()                   Whether the computation was cancelled, or the device failed.
//
// Indices and counts are below 2³² − 1. Functions that loops are given are copied, called several
// times for an index perhaps, and on the device: they capture pointers and numbers by value. What
// one loop writes, the next one sees; within a loop, what one index writes others may only touch
// by atomics.h.
//
// Once stopped, loops do nothing and Fetch gives default values, so that an algorithm ends soon
// with nothing done in vain and nothing read that was not written. Its results are of no
// use then.
namespace lossd::flat {

// Where arrays come from: a workspace, or a device's caching allocator. Take may throw
// std::bad_alloc and the like.
class ScratchMemory {
 public:
  ScratchMemory() = default;
  virtual ~ScratchMemory() = default;
  ScratchMemory(const ScratchMemory&) = delete;
  ScratchMemory& operator=(const ScratchMemory&) = delete;

  // Memory for any type, uninitialised. `bytes` > 0.
  virtual void* Take(size_t bytes) = 0;
  // Loops that use the memory may still be running on the device: whoever takes it next does so in
  // the same stream.
  virtual void Give(void* memory, size_t bytes) noexcept = 0;
};

// An uninitialised array of trivial values. Only loops look into it.
template <typename T>
class Array {
 public:
  Array() = default;
  Array(ScratchMemory& memory, size_t size)
      : memory_(&memory), size_(size), bytes_(size * sizeof(T)) {
    if (size > 0) data_ = static_cast<T*>(memory.Take(bytes_));
  }
  Array(Array&& other) noexcept { *this = std::move(other); }
  Array& operator=(Array&& other) noexcept {
    std::swap(memory_, other.memory_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~Array() {
    if (data_ != nullptr) memory_->Give(data_, bytes_);
  }

  T* data() const { return data_; }  // Null where there is nothing.
  size_t size() const { return size_; }
  // Forgets what lies behind; the memory stays.
  void Shrink(size_t size) { size_ = size; }

 private:
  ScratchMemory* memory_ = nullptr;
  T* data_ = nullptr;
  size_t size_ = 0;
  size_t bytes_ = 0;
};

}  // namespace lossd::flat

#endif  // LOSSD_MALIS_FLAT_LOOPS_H_
