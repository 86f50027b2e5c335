#include "lossd/tensor/arrivals.h"

#include "lossd/tensor/large_tensor.h"

namespace lossd {

at::Tensor Arrivals::Take(int64_t bytes) const {
  return BorrowTensor(workspace_, {bytes}, at::kByte);
}

}  // namespace lossd
