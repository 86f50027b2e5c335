#ifndef LOSSD_TENSOR_WORDS_H_
#define LOSSD_TENSOR_WORDS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>

namespace lossd {

// Calls visit(words) with the elements of a tensor, contiguous and on the CPU, as unsigned integers
// of their size: what depends on no more than their bits is written once for all dtypes.
template <typename Visitor>
auto VisitWords(const at::Tensor& tensor, const Visitor& visit) {
  const void* const data = tensor.const_data_ptr();
  switch (tensor.element_size()) {
    case 1:
      return visit(static_cast<const uint8_t*>(data));
    case 2:
      return visit(static_cast<const uint16_t*>(data));
    case 4:
      return visit(static_cast<const uint32_t*>(data));
    default:
      return visit(static_cast<const uint64_t*>(data));
  }
}

}  // namespace lossd

#endif  // LOSSD_TENSOR_WORDS_H_
