#include "lossd/tensor/arrivals.h"

#include <ATen/ATen.h>

#include <cstddef>
#include <utility>

namespace lossd {

at::Tensor Arrivals::Take(int64_t bytes) const {
  struct Held {
    std::shared_ptr<Workspace> workspace;  // Goes after the buffer.
    Workspace::Buffer<uint8_t> buffer;
  };
  auto held = std::make_shared<Held>(
      workspace_, Workspace::Buffer<uint8_t>(*workspace_, static_cast<size_t>(bytes)));
  uint8_t* const data = held->buffer.data();
  return at::from_blob(data, {bytes}, [held = std::move(held)](void*) {}, at::kByte);
}

}  // namespace lossd
