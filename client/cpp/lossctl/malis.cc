#include "lossd/malis/malis.h"

#include <ATen/ATen.h>

#include <cmath>
#include <iostream>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/time/clock.h"
#include "lossctl/command.h"
#include "lossctl/json.h"
#include "lossctl/tensor_commands.h"
#include "lossd/base/error.h"
#include "lossd/base/task_pool.h"
#include "lossd/base/workspace.h"
#include "lossd/malis/affinities.h"
#include "lossd/malis/labels.h"
#include "lossd/tensor/dtype_name.h"
#include "lossd/tensor/npy.h"

namespace lossd {
namespace {

// One volume, in the types of the engine; an undefined tensor is an absent one.
struct Volume {
  GridShape shape;
  std::vector<Offset> neighborhood;
  at::Tensor affinity;  // [C, Z, Y, X] float32.
  at::Tensor positive;  // [C, Z, Y, X] uint8, 0 or 1.
  at::Tensor known;     // [C, Z, Y, X] uint8, 0 or 1.
  std::vector<uint32_t> labels;

  // The sizes of a tensor with a value an edge.
  std::vector<int64_t> EdgeSizes() const {
    return {static_cast<int64_t>(neighborhood.size()), shape.z, shape.y, shape.x};
  }
};

template <typename T>
absl::Span<const T> SpanOf(const at::Tensor& tensor) {
  if (!tensor.defined()) return {};
  return {tensor.const_data_ptr<T>(), static_cast<size_t>(tensor.numel())};
}

std::string SizesText(at::IntArrayRef sizes) {
  return absl::StrCat("shape [", absl::StrJoin(sizes, ", "), "]");
}

absl::StatusOr<std::vector<Offset>> ReadOffsets(const std::vector<std::string>& texts) {
  std::vector<Offset> offsets;
  for (const std::string& text : texts) {
    const std::vector<std::string> parts = absl::StrSplit(text, ',');
    Offset offset;
    if (parts.size() != 3 || !absl::SimpleAtoi(parts[0], &offset.z) ||
        !absl::SimpleAtoi(parts[1], &offset.y) || !absl::SimpleAtoi(parts[2], &offset.x)) {
      return FieldError("--nhood", absl::StrCat("'", text, "'"), "z,y,x");
    }
    offsets.push_back(offset);
  }
  return offsets;
}

// A value an edge; nothing without a path.
absl::StatusOr<at::Tensor> ReadEdges(absl::string_view flag, const std::string& path,
                                     const Volume& volume) {
  if (path.empty()) return at::Tensor();
  absl::StatusOr<at::Tensor> read = ReadNpy(path);
  if (!read.ok()) return read.status();
  if (read->sizes() != volume.EdgeSizes()) {
    return FieldError(flag, SizesText(read->sizes()),
                      absl::StrCat("that of the affinities, ", SizesText(volume.EdgeSizes())));
  }
  return read;
}

absl::Status ReadAffinities(const MalisFlags& flags, Volume& volume) {
  absl::StatusOr<at::Tensor> read = ReadNpy(flags.affinities);
  if (!read.ok()) return read.status();
  const auto channels = static_cast<int64_t>(volume.neighborhood.size());
  if (read->dim() != 4 || read->size(0) != channels || read->numel() == 0 ||
      !read->is_floating_point()) {
    return FieldError("--affinities",
                      absl::StrCat(DTypeName(read->scalar_type()), ", ", SizesText(read->sizes())),
                      absl::StrCat("floats [", channels, ", Z, Y, X], a channel an offset"));
  }
  const at::Tensor values = read->to(at::kFloat).contiguous();
  volume.affinity = flags.logits ? values.sigmoid() : values;
  const auto [low, high] = volume.affinity.aminmax();  // Of which NaN is both.
  if (!std::isfinite(low.item<float>()) || !std::isfinite(high.item<float>())) {
    return FieldError("--affinities", "a value that is not finite", "finite ones");
  }
  volume.shape = {.z = read->size(1), .y = read->size(2), .x = read->size(3)};
  return absl::OkStatus();
}

// Where the mask is exactly 1, edges are known. One that means something else by its values is
// refused, as MalisLoss does it.
absl::Status ReadMask(const std::string& path, Volume& volume) {
  const absl::StatusOr<at::Tensor> mask = ReadEdges("--mask", path, volume);
  if (!mask.ok()) return mask.status();
  if (!mask->defined()) return absl::OkStatus();
  volume.known = mask->eq(1).to(at::kByte).contiguous();
  const bool whole = at::isIntegralType(mask->scalar_type(), /*includeBool=*/true);
  const bool zero_or_one = whole
                               ? mask->eq(0).logical_or_(mask->eq(1)).all().item<bool>()
                               : volume.known.any().item<bool>() || !mask->gt(0).any().item<bool>();
  if (zero_or_one) return absl::OkStatus();
  return FieldError("--mask", whole ? "integers besides 0 and 1" : "values above 0, but nowhere 1",
                    "1 where edges are known and 0 elsewhere: mask > 0");
}

absl::Status ReadLabels(const std::string& path, TaskPool& pool, Volume& volume) {
  if (path.empty()) return absl::OkStatus();
  absl::StatusOr<at::Tensor> read = ReadNpy(path);
  if (!read.ok()) return read.status();
  const std::vector<int64_t> sizes = {volume.shape.z, volume.shape.y, volume.shape.x};
  if (read->sizes() != sizes || !at::isIntegralType(read->scalar_type(), /*includeBool=*/true)) {
    return FieldError("--gt_seg",
                      absl::StrCat(DTypeName(read->scalar_type()), ", ", SizesText(read->sizes())),
                      absl::StrCat("integers of ", SizesText(sizes)));
  }
  // Ids are only compared, so the bits of unsigned ones serve as well.
  const at::Tensor ids =
      (read->scalar_type() == at::kUInt64 ? read->view(at::kLong) : read->to(at::kLong))
          .contiguous();
  volume.labels.resize(ids.numel());
  CompactLabels(SpanOf<int64_t>(ids), pool, absl::MakeSpan(volume.labels));
  if (volume.positive.defined()) return absl::OkStatus();
  volume.positive = at::empty(volume.EdgeSizes(), at::kByte);
  AffinitiesFromLabels(
      volume.shape, volume.neighborhood, absl::MakeConstSpan(volume.labels), pool,
      absl::MakeSpan(volume.positive.data_ptr<uint8_t>(), volume.positive.numel()));
  return absl::OkStatus();
}

absl::StatusOr<Volume> ReadVolume(const MalisFlags& flags, TaskPool& pool) {
  if (flags.gt_seg.empty() && flags.target.empty()) {
    return FieldError("--gt_seg", "neither it nor --target", "one of them or both");
  }
  Volume volume;
  absl::StatusOr<std::vector<Offset>> offsets = ReadOffsets(flags.nhood);
  if (!offsets.ok()) return offsets.status();
  volume.neighborhood = *std::move(offsets);
  absl::Status read = ReadAffinities(flags, volume);
  if (!read.ok()) return read;
  const absl::StatusOr<at::Tensor> target = ReadEdges("--target", flags.target, volume);
  if (!target.ok()) return target.status();
  if (target->defined()) volume.positive = target->gt(0.5).to(at::kByte).contiguous();
  read = ReadMask(flags.mask, volume);
  if (!read.ok()) return read;
  read = ReadLabels(flags.gt_seg, pool, volume);
  if (!read.ok()) return read;
  return volume;
}

// Σ weight × (affinity − target)², in double: squares of floats need not be floats.
double WeightedSquares(const at::Tensor& weights, const Volume& volume) {
  double sum = 0;
  for (int64_t c = 0; c < weights.size(0); ++c) {
    const at::Tensor error = volume.affinity[c].to(at::kDouble) - volume.positive[c];
    sum += (weights[c] * error * error).sum().item<double>();
  }
  return sum;
}

}  // namespace

absl::Status Malis(const Session& session, const MalisFlags& flags) {
  TaskPool pool(flags.threads);
  const absl::StatusOr<Volume> volume = ReadVolume(flags, pool);
  if (!volume.ok()) return volume.status();
  const MalisSample sample = {.shape = volume->shape,
                              .neighborhood = volume->neighborhood,
                              .affinity = SpanOf<float>(volume->affinity),
                              .positive = SpanOf<uint8_t>(volume->positive),
                              .known = SpanOf<uint8_t>(volume->known),
                              .labels = volume->labels};
  const at::Tensor weights = at::empty(volume->EdgeSizes(), at::kFloat);
  const absl::Span<float> span(weights.data_ptr<float>(), weights.numel());
  Workspace workspace;
  const absl::Time start = absl::Now();
  const absl::Status computed = MalisWeights({sample}, pool, workspace, {span});
  if (!computed.ok()) return computed;
  const absl::Duration time = absl::Now() - start;

  const auto weighted = at::count_nonzero(weights).item<int64_t>();
  const double loss = WeightedSquares(weights, *volume);
  if (!flags.out.empty()) {
    if (absl::Status written = WriteNpy(flags.out, weights); !written.ok()) return written;
  }
  if (session.json) {
    std::cout << Json::Object({{"weighted_edges", weighted},
                               {"edges", weights.numel()},
                               {"loss", loss},
                               {"seconds", time},
                               {"weights", flags.out.empty() ? Json() : Json(flags.out)}})
                     .text()
              << "\n";
    return absl::OkStatus();
  }
  std::cout << "edges with a weight      " << weighted << " of " << weights.numel() << "\n"
            << "loss (weighted squares)  " << loss << "\n"
            << "time of the weights      " << absl::FormatDuration(time) << "\n";
  if (!flags.out.empty()) std::cout << "weights                  " << flags.out << "\n";
  return absl::OkStatus();
}

}  // namespace lossd
