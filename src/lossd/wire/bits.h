#ifndef LOSSD_WIRE_BITS_H_
#define LOSSD_WIRE_BITS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>

namespace lossd {

// The bytes that hold a bit for each of so many elements.
constexpr int64_t BitsBytes(int64_t elements) { return elements / 8 + (elements % 8 != 0 ? 1 : 0); }

// The elements as v1::ENCODING_BITS has them, a contiguous uint8 tensor; nothing where one of them
// is neither 0 nor 1, which is noticed soon. `tensor` is contiguous and on the CPU. The zero of
// floating point is +0: a −0 would not come back.
std::optional<at::Tensor> PackBits(const at::Tensor& tensor);

// Writes the elements that `bits` are into `tensor`, contiguous, on the CPU and of a dtype with
// elements of 1 to 8 bytes. `bits` has BitsBytes of its size.
void UnpackBits(const uint8_t* bits, const at::Tensor& tensor);

}  // namespace lossd

#endif  // LOSSD_WIRE_BITS_H_
