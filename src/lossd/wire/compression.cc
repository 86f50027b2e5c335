#include "lossd/wire/compression.h"

#include <ATen/ATen.h>
#include <lz4frame.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/tensor/large_tensor.h"

namespace lossd {
namespace {

constexpr LZ4F_preferences_t kPreferences = {
    .frameInfo = {.blockSizeID = LZ4F_max4MB,
                  .blockMode = LZ4F_blockIndependent,
                  .contentChecksumFlag = LZ4F_noContentChecksum,
                  .frameType = LZ4F_frame,
                  .contentSize = 0,
                  .dictID = 0,
                  .blockChecksumFlag = LZ4F_noBlockChecksum},
    .compressionLevel = 0,
    .autoFlush = 0,
    .favorDecSpeed = 0,
    .reserved = {}};

}  // namespace

at::Tensor Compress(const at::Tensor& dense) {
  const size_t size = dense.nbytes();
  // Room for the worst case, as LZ4 asks for it; only what is used of it is ever touched.
  const size_t most = LZ4F_compressFrameBound(size, &kPreferences);
  const at::Tensor frame = EmptyLarge({static_cast<int64_t>(most)}, at::kByte);
  const size_t used = LZ4F_compressFrame(frame.mutable_data_ptr(), most, dense.const_data_ptr(),
                                         size, &kPreferences);
  if (LZ4F_isError(used) != 0 || used >= size) return {};
  return frame.narrow(0, 0, static_cast<int64_t>(used));
}

absl::Status Decompress(const at::Tensor& frame, const at::Tensor& whole) {
  LZ4F_dctx* made = nullptr;
  if (LZ4F_isError(LZ4F_createDecompressionContext(&made, LZ4F_VERSION)) != 0) {
    return absl::ResourceExhaustedError("not enough memory to decompress");
  }
  const std::unique_ptr<LZ4F_dctx, decltype(&LZ4F_freeDecompressionContext)> context(
      made, &LZ4F_freeDecompressionContext);
  const auto* from = frame.const_data_ptr<uint8_t>();
  auto* to = whole.mutable_data_ptr<uint8_t>();
  const uint8_t* const from_end = from + frame.numel();
  uint8_t* const to_end = to + whole.numel();
  constexpr LZ4F_decompressOptions_t kStable = {
      .stableDst = 1, .skipChecksums = 0, .reserved1 = 0, .reserved0 = 0};
  // What is still expected; 0 at the end of a frame. It may stop for want of room or of bytes.
  size_t expected = 1;
  while (expected != 0) {
    size_t taken = from_end - from;
    size_t given = to_end - to;
    const bool stuck_without = taken == 0;
    expected = LZ4F_decompress(context.get(), to, &given, from, &taken, &kStable);
    if (LZ4F_isError(expected) != 0) {
      return FieldError("data", absl::StrCat("no LZ4 frame (", LZ4F_getErrorName(expected), ")"),
                        absl::StrCat("one of ", whole.numel(), " bytes"));
    }
    from += taken;
    to += given;
    if (expected != 0 && given == 0 && (taken == 0 || stuck_without)) break;
  }
  if (expected == 0 && from == from_end && to == to_end) return absl::OkStatus();
  return FieldError("data",
                    expected == 0 && to != to_end
                        ? absl::StrCat("an LZ4 frame of ", whole.numel() - (to_end - to), " bytes")
                        : "more than an LZ4 frame, or a part of one",
                    absl::StrCat("one of ", whole.numel(), " bytes"));
}

}  // namespace lossd
