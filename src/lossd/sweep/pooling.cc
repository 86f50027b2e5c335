#include "lossd/sweep/pooling.h"

#include <torch/autograd.h>

#include <tuple>
#include <vector>

#include "lossd/device/kernels.h"

namespace lossd {
namespace {

std::vector<int64_t> PaddingOf(at::IntArrayRef window) {
  std::vector<int64_t> padding;
  for (const int64_t size : window) padding.push_back(size / 2);
  return padding;
}

// LibTorch's maximum with a derivative that has the same bits each time: its own one on a GPU adds
// up in any order.
class GpuMaxPool : public torch::autograd::Function<GpuMaxPool> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context, const at::Tensor& values,
                            at::IntArrayRef window) {
    const std::vector<int64_t> padding = PaddingOf(window);
    const at::Tensor whole = values.contiguous();
    const auto [greatest, chosen] =
        values.dim() == 5 ? at::max_pool3d_with_indices(whole, window, /*stride=*/1, padding)
                          : at::max_pool2d_with_indices(whole, window, /*stride=*/1, padding);
    context->saved_data["window"] = window.vec();
    context->save_for_backward({chosen});
    return greatest;
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 const torch::autograd::variable_list& gradients) {
    return {MaxPoolGradientOnGpu(gradients[0].contiguous(), context->get_saved_variables()[0],
                                 context->saved_data["window"].toIntVector()),
            {}};
  }
};

}  // namespace

at::Tensor MaxPool(const at::Tensor& values, at::IntArrayRef window) {
  if (!values.is_cpu()) return GpuMaxPool::apply(values, window);
  const std::vector<int64_t> padding = PaddingOf(window);
  return values.dim() == 5 ? at::max_pool3d(values, window, /*stride=*/1, padding)
                           : at::max_pool2d(values, window, /*stride=*/1, padding);
}

at::Tensor MinPool(const at::Tensor& values, at::IntArrayRef window) {
  return -MaxPool(-values, window);
}

}  // namespace lossd
