#include "lossd/wire/bits.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstring>

#include "lossd/tensor/words.h"
#include "lossd/wire/in_ranges.h"

namespace lossd {
namespace {

// Elements go through bytes of 0 and 1 in the cache, so many at a time: loops over bytes and over
// elements are each vectorised.
constexpr int64_t kBlock = 4096;

// What 1 looks like in a dtype.
uint64_t One(at::ScalarType dtype) {
  switch (dtype) {
    case at::kDouble:
      return std::bit_cast<uint64_t>(1.0);
    case at::kFloat:
      return std::bit_cast<uint32_t>(1.0F);
    case at::kHalf:
      return c10::Half(1.0F).x;
    case at::kBFloat16:
      return c10::BFloat16(1.0F).x;
    default:
      return 1;
  }
}

// The bits of 8 bytes that are 0 or 1, in their order.
uint8_t Gather(const uint8_t* bytes) {
  uint64_t eight = 0;
  std::memcpy(&eight, bytes, sizeof(eight));
  // The product moves byte i, by 7·(8 − i), to bit 56 + i; nothing else gets there.
  return static_cast<uint8_t>((eight * 0x0102040810204080) >> 56);
}

// The opposite of it.
void Scatter(uint8_t bits, uint8_t* bytes) {
  // Bit i in byte i, then whether it was set.
  uint64_t eight = (uint64_t{bits} * 0x0101010101010101) & 0x8040201008040201;
  eight = ((eight + 0x7F7F7F7F7F7F7F7F) >> 7) & 0x0101010101010101;
  std::memcpy(bytes, &eight, sizeof(eight));
}

// Whether each of the words is `one` or 0, and which.
template <typename Word>
bool FindOnes(const Word* words, int64_t count, Word one, uint8_t* ones) {
  Word others = 0;
  for (int64_t i = 0; i < count; ++i) {
    const bool is_one = words[i] == one;
    ones[i] = is_one ? 1 : 0;
    others |= is_one ? Word{0} : words[i];
  }
  return others == 0;
}

// Whether each of the words is `one` or 0; writes their bits.
template <typename Word>
bool PackWords(const Word* words, int64_t count, Word one, uint8_t* out) {
  uint8_t ones[kBlock];
  for (int64_t begin = 0; begin < count; begin += kBlock) {
    const int64_t size = std::min(kBlock, count - begin);
    if (!FindOnes(words + begin, size, one, ones)) return false;
    std::fill(ones + size, ones + 8 * BitsBytes(size), uint8_t{0});
    for (int64_t i = 0; i < size; i += 8) *out++ = Gather(ones + i);
  }
  return true;
}

}  // namespace

std::optional<at::Tensor> PackBits(const at::Tensor& tensor) {
  const int64_t count = tensor.numel();
  at::Tensor packed = at::empty({BitsBytes(count)}, at::kByte);
  auto* const out = packed.mutable_data_ptr<uint8_t>();
  const bool binary = VisitWords(tensor, [&](const auto* words) {
    const auto one = static_cast<std::remove_cvref_t<decltype(*words)>>(One(tensor.scalar_type()));
    const auto pack = [&](int64_t begin, int64_t end) {
      return PackWords(words + begin, end - begin, one, out + begin / 8);
    };
    // What is no mask mostly shows at once, which takes no threads.
    return pack(0, std::min(kBlock, count)) && InRanges(count, pack);
  });
  if (!binary) return std::nullopt;
  return packed;
}

void UnpackBits(const uint8_t* bits, const at::Tensor& tensor) {
  const int64_t count = tensor.numel();
  VisitWords(tensor, [&](const auto* words) {
    using Word = std::remove_cvref_t<decltype(*words)>;
    // The tensor was made to be written to.
    auto* const out = const_cast<Word*>(words);
    const auto one = static_cast<Word>(One(tensor.scalar_type()));
    uint8_t ones[kBlock];
    for (int64_t begin = 0; begin < count; begin += kBlock) {
      const int64_t size = std::min(kBlock, count - begin);
      for (int64_t i = 0; i < size; i += 8) Scatter(*bits++, ones + i);
      for (int64_t i = 0; i < size; ++i) {
        out[begin + i] = static_cast<Word>(ones[i] != 0 ? one : Word{0});
      }
    }
    return true;
  });
}

}  // namespace lossd
