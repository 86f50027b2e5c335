#include "lossd/wire/encoding.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <limits>
#include <optional>
#include <type_traits>
#include <unordered_map>

#include "lossd/tensor/words.h"
#include "lossd/wire/bits.h"
#include "lossd/wire/in_ranges.h"

namespace lossd {
namespace {

constexpr uint64_t kMost16 = std::numeric_limits<uint16_t>::max();

// The greatest of the elements; one below 0 is greater than all others.
uint64_t Greatest(const at::Tensor& integers) {
  return VisitWords(integers, [&](const auto* words) -> uint64_t {
    using Word = std::remove_cvref_t<decltype(*words)>;
    std::atomic<Word> greatest = 0;
    InRanges(integers.numel(), [&](int64_t begin, int64_t end) {
      Word of_range = 0;
      for (int64_t i = begin; i < end; ++i) of_range = std::max(of_range, words[i]);
      Word known = greatest;
      while (known < of_range && !greatest.compare_exchange_weak(known, of_range)) continue;
      return true;
    });
    return greatest;
  });
}

// The elements, which all fit, in the unsigned type `Narrow`; `dtype` is one of its size.
template <typename Narrow>
at::Tensor NarrowTo(const at::Tensor& integers, at::ScalarType dtype) {
  at::Tensor narrow = at::empty({integers.numel()}, dtype);
  auto* const out = static_cast<Narrow*>(narrow.mutable_data_ptr());
  return VisitWords(integers, [&](const auto* words) {
    InRanges(integers.numel(), [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) out[i] = static_cast<Narrow>(words[i]);
      return true;
    });
    return narrow;
  });
}

// The ids numbered as they first appear, 0 being 0; nothing when there are too many for 2 bytes.
// Neighbours mostly have the same.
std::optional<at::Tensor> Renamed(const at::Tensor& ids) {
  at::Tensor renamed = at::empty({ids.numel()}, at::kShort);
  auto* const out = static_cast<uint16_t*>(renamed.mutable_data_ptr());
  const bool fit = VisitWords(ids, [&](const auto* words) {
    using Word = std::remove_cvref_t<decltype(*words)>;
    std::unordered_map<Word, uint16_t> names = {{Word{0}, uint16_t{0}}};
    Word id = 0;
    uint16_t name = 0;
    for (int64_t i = 0; i < ids.numel(); ++i) {
      if (words[i] != id) {
        id = words[i];
        const auto place = names.find(id);
        if (place == names.end() && names.size() > kMost16) return false;
        name = place != names.end() ? place->second : static_cast<uint16_t>(names.size());
        if (place == names.end()) names.emplace(id, name);
      }
      out[i] = name;
    }
    return true;
  });
  if (!fit) return std::nullopt;
  return renamed;
}

EncodedElements EncodeIntegers(const at::Tensor& dense, ElementUse use) {
  const int64_t size = dense.element_size();
  const uint64_t greatest = Greatest(dense);
  if (size > 1 && greatest <= std::numeric_limits<uint8_t>::max()) {
    return {v1::ENCODING_UINT8, NarrowTo<uint8_t>(dense, at::kByte)};
  }
  if (size > 2 && greatest <= kMost16) {
    return {v1::ENCODING_UINT16, NarrowTo<uint16_t>(dense, at::kShort)};
  }
  if (size > 2 && use == ElementUse::kIds) {
    if (std::optional<at::Tensor> renamed = Renamed(dense)) {
      return {v1::ENCODING_UINT16, *std::move(renamed)};
    }
  }
  if (size > 4 && greatest <= std::numeric_limits<uint32_t>::max()) {
    return {v1::ENCODING_UINT32, NarrowTo<uint32_t>(dense, at::kInt)};
  }
  return {v1::ENCODING_UNSPECIFIED, dense};
}

}  // namespace

EncodedElements Encode(const at::Tensor& dense, ElementUse use) {
  if (dense.nbytes() < kLeastEncodedBytes) return {v1::ENCODING_UNSPECIFIED, dense};
  if (std::optional<at::Tensor> bits = PackBits(dense)) {
    return {v1::ENCODING_BITS, *std::move(bits)};
  }
  if (!at::isIntegralType(dense.scalar_type(), /*includeBool=*/false)) {
    return {v1::ENCODING_UNSPECIFIED, dense};
  }
  return EncodeIntegers(dense, use);
}

}  // namespace lossd
