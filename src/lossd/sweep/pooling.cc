#include "lossd/sweep/pooling.h"

#include <vector>

namespace lossd {

at::Tensor MaxPool(const at::Tensor& values, at::IntArrayRef window) {
  std::vector<int64_t> padding;
  for (const int64_t size : window) padding.push_back(size / 2);
  return values.dim() == 5 ? at::max_pool3d(values, window, /*stride=*/1, padding)
                           : at::max_pool2d(values, window, /*stride=*/1, padding);
}

at::Tensor MinPool(const at::Tensor& values, at::IntArrayRef window) {
  return -MaxPool(-values, window);
}

}  // namespace lossd
