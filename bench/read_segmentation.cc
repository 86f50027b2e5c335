#include "bench/read_segmentation.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <utility>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/tensor/npy.h"

namespace lossd {

absl::StatusOr<Segmentation> ReadSegmentation(const std::string& path) {
  const absl::StatusOr<at::Tensor> read = ReadNpy(path);
  if (!read.ok()) return read.status();
  if (read->dim() != 3 || !at::isIntegralType(read->scalar_type(), /*includeBool=*/false)) {
    return FieldError(
        path, absl::StrCat(c10::toString(read->scalar_type()), " of ", read->dim(), " dimensions"),
        "integers [Z, Y, X]");
  }
  const at::Tensor ids = read->to(at::kLong).contiguous();
  const auto* const first = ids.const_data_ptr<int64_t>();
  return Segmentation{.shape = {.z = ids.size(0), .y = ids.size(1), .x = ids.size(2)},
                      .labels = {first, first + ids.numel()}};
}

Segmentation SegmentationOfArguments(int argc, char** argv) {
  if (argc < 2) return SyntheticNeurites(Cube(256), 1);
  absl::StatusOr<Segmentation> read = ReadSegmentation(argv[1]);
  if (!read.ok()) {
    std::fprintf(stderr, "%s\n", read.status().ToString().c_str());
    std::exit(1);
  }
  return *std::move(read);
}

}  // namespace lossd
