#include "lossd/losses/malis_loss.h"

#include <array>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "lossd/affinity/labels.h"
#include "lossd/base/error.h"
#include "lossd/losses/block_reader.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/input_reader.h"
#include "lossd/losses/kernels.h"
#include "lossd/losses/large_tensor.h"
#include "lossd/losses/sweep.h"
#include "lossd/losses/torch_status.h"
#include "lossd/maximin/malis.h"

namespace lossd {
namespace {

using Zyx = std::array<int64_t, 3>;
using Scratch = std::array<float, kBlockSize>;

std::vector<Offset> Neighborhood(const v1::MalisLossOptions& options) {
  if (options.nhood().empty()) return {{-1, 0, 0}, {0, -1, 0}, {0, 0, -1}};
  std::vector<Offset> offsets;
  for (const v1::Offset& offset : options.nhood()) {
    offsets.push_back({.z = offset.z(), .y = offset.y(), .x = offset.x()});
  }
  return offsets;
}

std::optional<Zyx> CropOption(const v1::MalisLossOptions& options) {
  const auto& sizes = options.malis_crop_size();
  if (sizes.empty()) return std::nullopt;
  if (sizes.size() == 1) return Zyx{sizes[0], sizes[0], sizes[0]};
  return Zyx{sizes[0], sizes[1], sizes[2]};
}

std::string Text(const Zyx& zyx) { return absl::StrCat("[", absl::StrJoin(zyx, ", "), "]"); }

Zyx VolumeOf(const at::Tensor& pred) { return {pred.size(2), pred.size(3), pred.size(4)}; }

// What is looked at of a volume.
struct Region {
  Zyx origin = {0, 0, 0};
  Zyx size;

  // Of a tensor whose last three dimensions are the volume's or 1.
  at::Tensor Of(at::Tensor tensor) const {
    for (int64_t d = 0; d < 3; ++d) {
      const int64_t dim = tensor.dim() - 3 + d;
      if (tensor.size(dim) != 1) tensor = tensor.narrow(dim, origin[d], size[d]);
    }
    return tensor;
  }
};

// The labels [B, Z, Y, X] renumbered, as MalisSample wants them.
std::vector<uint32_t> Compact(const at::Tensor& labels) {
  const at::Tensor ids = labels.to(at::kCPU, at::kLong).contiguous();
  std::vector<uint32_t> compact(ids.numel());
  const int64_t volume = ids.numel() / ids.size(0);
  for (int64_t b = 0; b < ids.size(0); ++b) {
    CompactLabels(absl::MakeConstSpan(ids.const_data_ptr<int64_t>() + b * volume, volume),
                  absl::MakeSpan(compact).subspan(b * volume, volume));
  }
  return compact;
}

// A sample's share of what `tensor` [B, …] holds; empty when it is undefined.
template <typename T>
absl::Span<const T> SampleOf(const at::Tensor& tensor, int64_t sample) {
  if (!tensor.defined()) return {};
  const int64_t size = tensor.numel() / tensor.size(0);
  return {tensor.const_data_ptr<T>() + sample * size, static_cast<size_t>(size)};
}

class MalisLoss : public Loss {
 public:
  explicit MalisLoss(const v1::MalisLossOptions& options)
      : neighborhood_(Neighborhood(options)),
        reduction_(options.reduction()),
        sigmoid_(options.sigmoid()),
        crop_size_(CropOption(options)) {}

  std::optional<Zyx> CropSize() const override { return crop_size_; }

  absl::StatusOr<ValueAndGradient> Compute(const LossInputs& inputs,
                                           TaskPool& pool) const override {
    return CatchTorchErrors([&]() -> absl::StatusOr<ValueAndGradient> {
      if (absl::Status status = Check(inputs); !status.ok()) return status;
      const at::NoGradGuard no_grad;
      return ComputeIn(RegionOf(inputs), inputs, pool);
    });
  }

 private:
  absl::Status Check(const LossInputs& inputs) const {
    if (absl::Status status = CheckPrediction("pred", inputs.pred); !status.ok()) return status;
    const at::Tensor& pred = inputs.pred;
    if (pred.dim() != 5 || pred.size(1) != static_cast<int64_t>(neighborhood_.size())) {
      return FieldError(
          "pred", absl::StrCat("shape ", ShapeText(pred)),
          absl::StrCat("[B, ", neighborhood_.size(), ", Z, Y, X], one channel an offset of nhood"));
    }
    return FirstError({CheckLikePrediction("target", inputs.target, pred),
                       CheckBroadcastable("weight", MaskOf(inputs), pred),
                       CheckSegmentation(inputs), CheckCrop(inputs)});
  }

  // The mask as [B or 1, C or 1, …], unless it has more dimensions than that.
  static at::Tensor MaskOf(const LossInputs& inputs) {
    at::Tensor mask = inputs.weight;
    if (!mask.defined()) return mask;
    if (mask.dim() == 4 && mask.size(0) == inputs.pred.size(0)) return mask.unsqueeze(1);
    while (mask.dim() < 5) mask = mask.unsqueeze(0);
    return mask;
  }

  // gt_seg as [B, Z, Y, X], unless it has a shape that it may not have.
  static at::Tensor SegmentationOf(const LossInputs& inputs) {
    const at::Tensor& labels = inputs.gt_seg;
    if (labels.dim() == 5 && labels.size(1) == 1) return labels.squeeze(1);
    if (labels.dim() == 3 && inputs.pred.size(0) == 1) return labels.unsqueeze(0);
    return labels;
  }

  static absl::Status CheckSegmentation(const LossInputs& inputs) {
    if (!inputs.gt_seg.defined()) return absl::OkStatus();
    if (!at::isIntegralType(inputs.gt_seg.scalar_type(), /*includeBool=*/true)) {
      return FieldError(
          "gt_seg", absl::StrCat("elements of type ", c10::toString(inputs.gt_seg.scalar_type())),
          "an integer type");
    }
    std::vector<int64_t> expected = inputs.pred.sizes().vec();
    expected.erase(expected.begin() + 1);
    if (SegmentationOf(inputs).sizes() == expected) return absl::OkStatus();
    return FieldError("gt_seg", absl::StrCat("shape ", ShapeText(inputs.gt_seg)),
                      absl::StrCat("[B, Z, Y, X], [B, 1, Z, Y, X] or, when B is 1, [Z, Y, X] for a "
                                   "prediction of shape ",
                                   ShapeText(inputs.pred)));
  }

  absl::Status CheckCrop(const LossInputs& inputs) const {
    if (!crop_size_.has_value()) return absl::OkStatus();
    const Zyx volume = VolumeOf(inputs.pred);
    for (int d = 0; d < 3; ++d) {
      if ((*crop_size_)[d] > volume[d]) {
        return FieldError("kwargs.malis_crop_size", Text(*crop_size_),
                          absl::StrCat("at most the volume's size, ", Text(volume)));
      }
    }
    if (!inputs.crop_origin.has_value()) {
      return FieldError("crop_origin", "nothing", "the first voxel of the crop");
    }
    for (int d = 0; d < 3; ++d) {
      const int64_t last = volume[d] - (*crop_size_)[d];
      if ((*inputs.crop_origin)[d] < 0 || (*inputs.crop_origin)[d] > last) {
        return FieldError("crop_origin", Text(*inputs.crop_origin),
                          absl::StrCat("one at which a crop of ", Text(*crop_size_),
                                       " lies within the volume, ", Text(volume)));
      }
    }
    return absl::OkStatus();
  }

  Region RegionOf(const LossInputs& inputs) const {
    if (!crop_size_.has_value()) return {.size = VolumeOf(inputs.pred)};
    return {.origin = *inputs.crop_origin, .size = *crop_size_};
  }

  absl::StatusOr<ValueAndGradient> ComputeIn(const Region& region, const LossInputs& inputs,
                                             TaskPool& pool) const {
    const LossInputs seen = InRegion(region, inputs);
    const InputReader reader(seen);
    const Edges edges = EdgesOf(seen.pred.sizes(), reader, pool);
    const at::Tensor weights = EmptyFloats(edges.affinity.sizes());
    if (edges.ordered) {
      if (absl::Status status = ComputeWeights(
              region, edges, inputs.gt_seg.defined() ? SegmentationOf(inputs) : at::Tensor(), pool,
              weights);
          !status.ok()) {
        return status;
      }
    } else {
      // No order, hence no weights: the loss is as little a number as the prediction.
      weights.fill_(std::numeric_limits<float>::quiet_NaN());
    }
    return OfWeights(region, edges.affinity, reader, weights, inputs, pool);
  }

  // What is read of the inputs, on the CPU.
  static LossInputs InRegion(const Region& region, const LossInputs& inputs) {
    const auto part = [&](const at::Tensor& tensor) {
      return tensor.defined() ? region.Of(tensor).to(at::kCPU) : tensor;
    };
    return {.pred = part(inputs.pred),
            .target = part(inputs.target),
            .weight = part(MaskOf(inputs)),
            .known = part(inputs.known),
            .blank = inputs.blank};
  }

  // What the weights are computed from, contiguous [B, C, z, y, x] on the CPU.
  struct Edges {
    at::Tensor affinity;
    at::Tensor positive;  // Bytes.
    at::Tensor known;     // Bytes; undefined: all.
    bool ordered;         // No affinity is NaN.
  };

  Edges EdgesOf(at::IntArrayRef sizes, const InputReader& reader, TaskPool& pool) const {
    const Blocks blocks(sizes);
    Edges edges = {.affinity = EmptyFloats(sizes),
                   .positive = at::empty(sizes, at::kByte),
                   .known = reader.has_weight() ? at::empty(sizes, at::kByte) : at::Tensor(),
                   .ordered = true};
    auto* const affinity = edges.affinity.mutable_data_ptr<float>();
    auto* const positive = edges.positive.mutable_data_ptr<uint8_t>();
    auto* const known = reader.has_weight() ? edges.known.mutable_data_ptr<uint8_t>() : nullptr;
    const auto disorder = Sweep<1>(blocks, pool, [&](const BlockRange& range) {
      Scratch scratch[3];
      const int64_t offset = blocks.Offset(range);
      const bool numbers = AffinityBlock(
          reader.Pred(range, scratch[0].data()), reader.Target(range, scratch[1].data()),
          reader.Weight(range, scratch[2].data()), sigmoid_, range.size, affinity + offset,
          positive + offset, known == nullptr ? nullptr : known + offset);
      return std::array<double, 1>{numbers ? 0.0 : 1.0};
    });
    for (const auto& group : disorder) edges.ordered = edges.ordered && group[0] == 0;
    return edges;
  }

  absl::Status ComputeWeights(const Region& region, const Edges& edges, const at::Tensor& gt_seg,
                              TaskPool& pool, const at::Tensor& weights) const {
    const GridShape shape = {.z = region.size[0], .y = region.size[1], .x = region.size[2]};
    std::vector<uint32_t> labels;
    if (gt_seg.defined()) labels = Compact(region.Of(gt_seg));
    const int64_t size = edges.affinity.numel() / edges.affinity.size(0);
    std::vector<MalisSample> samples;
    std::vector<absl::Span<float>> outputs;
    for (int64_t b = 0; b < edges.affinity.size(0); ++b) {
      absl::Span<const uint32_t> sample_labels;
      if (gt_seg.defined()) {
        sample_labels = absl::MakeConstSpan(labels).subspan(b * shape.voxels(), shape.voxels());
      }
      samples.push_back({.shape = shape,
                         .neighborhood = neighborhood_,
                         .affinity = SampleOf<float>(edges.affinity, b),
                         .positive = SampleOf<uint8_t>(edges.positive, b),
                         .known = SampleOf<uint8_t>(edges.known, b),
                         .labels = sample_labels});
      outputs.push_back(absl::MakeSpan(weights.mutable_data_ptr<float>() + b * size, size));
    }
    return MalisWeights(samples, pool, workspace_, outputs);
  }

  // The gradient takes the place of the weights.
  ValueAndGradient OfWeights(const Region& region, const at::Tensor& affinity,
                             const InputReader& reader, const at::Tensor& weights,
                             const LossInputs& inputs, TaskPool& pool) const {
    const at::Device device = inputs.pred.device();
    const bool mean = reduction_ == v1::REDUCTION_MEAN;
    const double scale = mean ? 1 / static_cast<double>(affinity.numel()) : 1;
    const Blocks blocks(affinity.sizes());
    const auto* const affinities = affinity.const_data_ptr<float>();
    auto* const weight = weights.mutable_data_ptr<float>();
    float* const gradients = inputs.want_gradient ? weight : nullptr;
    at::Tensor map;
    float* losses = nullptr;
    if (reduction_ == v1::REDUCTION_NONE) {
      map = EmptyFloats(affinity.sizes());
      losses = map.mutable_data_ptr<float>();
    }
    const auto sums = Sweep<1>(blocks, pool, [&](const BlockRange& range) {
      Scratch scratch;
      const int64_t offset = blocks.Offset(range);
      float* const gradient = gradients == nullptr ? nullptr : gradients + offset;
      const double sum = AffinityErrorBlock({.affinity = affinities + offset,
                                             .target = reader.Target(range, scratch.data()),
                                             .weight = weight + offset,
                                             .gradient = gradient,
                                             .loss = losses == nullptr ? nullptr : losses + offset,
                                             .size = range.size},
                                            sigmoid_, static_cast<float>(scale));
      reader.FinishGradient(range, gradient);
      return std::array<double, 1>{sum};
    });
    double sum = 0;
    for (const auto& group : sums) sum += group[0];
    ValueAndGradient result = {
        .value = (map.defined() ? map : at::scalar_tensor(scale * sum, at::kFloat)).to(device)};
    if (inputs.want_gradient) result.gradient = InVolume(region, weights, inputs.pred);
    return result;
  }

  // The region's gradient among the zeros of the rest of the volume.
  static at::Tensor InVolume(const Region& region, const at::Tensor& gradient,
                             const at::Tensor& pred) {
    if (gradient.sizes() == pred.sizes()) return gradient.to(pred.device());
    at::Tensor whole = at::zeros(pred.sizes(), pred.options().dtype(at::kFloat));
    region.Of(whole).copy_(gradient);
    return whole;
  }

  const std::vector<Offset> neighborhood_;
  const v1::Reduction reduction_;
  const bool sigmoid_;
  const std::optional<Zyx> crop_size_;
  mutable MalisWorkspace workspace_;
};

}  // namespace

absl::StatusOr<std::unique_ptr<const Loss>> CreateMalisLoss(const v1::LossOptions& options) {
  const auto& own = options.malis();
  if (absl::Status status = CheckReduction(own.reduction()); !status.ok()) return status;
  for (int i = 0; i < own.nhood_size(); ++i) {
    const v1::Offset& offset = own.nhood(i);
    if (!offset.has_z() || !offset.has_y() || !offset.has_x()) {
      return FieldError(absl::StrCat("nhood[", i, "]"), "less than 3 numbers", "[z, y, x]");
    }
  }
  const auto& crop = own.malis_crop_size();
  if (crop.size() == 2 || crop.size() > 3) {
    return FieldError("malis_crop_size", absl::StrCat(crop.size(), " numbers"), "1 or 3");
  }
  for (const int64_t size : crop) {
    if (size < 1) return FieldError("malis_crop_size", absl::StrCat(size), "numbers >= 1");
  }
  if (own.has_malis_num_workers() && own.malis_num_workers() < 1) {
    return FieldError("malis_num_workers", absl::StrCat(own.malis_num_workers()), "a number >= 1");
  }
  return std::make_unique<MalisLoss>(own);
}

}  // namespace lossd
