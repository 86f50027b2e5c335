#ifndef LOSSD_SHARED_MEMORY_FILE_DESCRIPTOR_H_
#define LOSSD_SHARED_MEMORY_FILE_DESCRIPTOR_H_

#include <unistd.h>

#include <utility>

namespace lossd {

// Owns an open file or socket, or none.
class FileDescriptor {
 public:
  FileDescriptor() = default;
  // Of what a system call returned; negative for none.
  explicit FileDescriptor(int descriptor) : descriptor_(descriptor) {}
  FileDescriptor(FileDescriptor&& other) noexcept
      : descriptor_(std::exchange(other.descriptor_, -1)) {}
  FileDescriptor& operator=(FileDescriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~FileDescriptor() {
    if (valid()) close(descriptor_);
  }

  bool valid() const { return descriptor_ >= 0; }
  int get() const { return descriptor_; }

 private:
  int descriptor_ = -1;
};

}  // namespace lossd

#endif  // LOSSD_SHARED_MEMORY_FILE_DESCRIPTOR_H_
