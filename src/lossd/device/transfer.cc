#include "lossd/device/transfer.h"

#include <ATen/ATen.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <cstdint>
#include <cstring>

namespace lossd {
namespace {

// From here on pinned memory pays.
constexpr size_t kLarge = 1 << 18;

at::Tensor EmptyPinned(const at::Tensor& like) {
  return at::empty(like.sizes(), at::TensorOptions(like.scalar_type()).pinned_memory(true));
}

void Copy(const at::Tensor& from, const at::Tensor& to, const Context& context) {
  constexpr int64_t kGrain = 1 << 20;
  const auto* const source = static_cast<const std::byte*>(from.const_data_ptr());
  auto* const target = static_cast<std::byte*>(to.mutable_data_ptr());
  context.OnHost().ParallelFor(
      static_cast<int64_t>(from.nbytes()), kGrain, [&](int64_t begin, int64_t end) {
        std::memcpy(target + begin, source + begin, static_cast<size_t>(end - begin));
      });
}

}  // namespace

at::Tensor ToGpu(const at::Tensor& tensor, const at::Device& gpu, const Context& context) {
  if (!tensor.defined()) return tensor;
  const at::Tensor whole = tensor.contiguous();
  if (whole.nbytes() < kLarge) return whole.to(gpu);
  if (whole.is_pinned()) return whole.to(gpu, /*non_blocking=*/true);
  const at::Tensor pinned = EmptyPinned(whole);
  Copy(whole, pinned, context);
  return pinned.to(gpu, /*non_blocking=*/true);
}

at::Tensor StartToHost(const at::Tensor& tensor) {
  at::Tensor pinned = EmptyPinned(tensor);
  pinned.copy_(tensor, /*non_blocking=*/true);
  return pinned;
}

void WaitForGpu(const at::Device& gpu) {
  const c10::impl::VirtualGuardImpl guard(gpu.type());
  guard.getStream(gpu).synchronize();
}

}  // namespace lossd
