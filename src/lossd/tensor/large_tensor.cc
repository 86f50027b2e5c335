#include "lossd/tensor/large_tensor.h"

#include <sys/mman.h>

#include <cstddef>
#include <memory>
#include <new>
#include <utility>

namespace lossd {
namespace {

constexpr std::align_val_t kHugePage{size_t{1} << 21};
// From here on, whole huge pages are most of a tensor.
constexpr size_t kLarge = 4 * static_cast<size_t>(kHugePage);

}  // namespace

at::Tensor EmptyLarge(at::IntArrayRef sizes, at::ScalarType type) {
  const size_t bytes = static_cast<size_t>(c10::multiply_integers(sizes)) * c10::elementSize(type);
  if (bytes < kLarge) return at::empty(sizes, type);
  void* const data = ::operator new(bytes, kHugePage);
  // A wish: where it is not granted, the pages are small.
  madvise(data, bytes, MADV_HUGEPAGE);
  return at::from_blob(
      data, sizes, [](void* memory) { ::operator delete(memory, kHugePage); }, type);
}

at::Tensor BorrowTensor(std::shared_ptr<Workspace> workspace, at::IntArrayRef sizes,
                        at::ScalarType type) {
  struct Held {
    std::shared_ptr<Workspace> workspace;  // Goes after the buffer.
    Workspace::Buffer<std::byte> buffer;
  };
  const size_t bytes = static_cast<size_t>(c10::multiply_integers(sizes)) * c10::elementSize(type);
  Workspace::Buffer<std::byte> buffer(*workspace, bytes);
  const auto held = std::make_shared<Held>(std::move(workspace), std::move(buffer));
  return at::from_blob(held->buffer.data(), sizes, [held](void*) {}, type);
}

at::Tensor BorrowTensor(Workspace& workspace, at::IntArrayRef sizes, at::ScalarType type) {
  return BorrowTensor(std::shared_ptr<Workspace>(std::shared_ptr<Workspace>(), &workspace), sizes,
                      type);
}

}  // namespace lossd
