#ifndef LOSSD_DEVICE_TRANSFER_H_
#define LOSSD_DEVICE_TRANSFER_H_

#include <ATen/core/Tensor.h>

#include "lossd/base/context.h"

// Tensors to a GPU and back, in the current stream of the GPU. Large ones go by way of pinned
// memory, which LibTorch keeps: from other memory the device would copy at a fraction of that
// speed.
namespace lossd {

// A contiguous copy on a GPU; of an undefined tensor nothing. The stream may still be copying when
// it returns, from `tensor` itself where that is pinned.
at::Tensor ToGpu(const at::Tensor& tensor, const at::Device& gpu, const Context& context);

// A contiguous copy on the host, in pinned memory: good once the stream has come so far.
at::Tensor StartToHost(const at::Tensor& tensor);

// Waits until the GPU's current stream has come so far.
void WaitForGpu(const at::Device& gpu);

}  // namespace lossd

#endif  // LOSSD_DEVICE_TRANSFER_H_
