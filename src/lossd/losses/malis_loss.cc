#include "lossd/losses/malis_loss.h"

#include <ATen/core/grad_mode.h>

#include <array>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "lossd/base/error.h"
#include "lossd/losses/affinity_error.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/torch_status.h"
#include "lossd/malis/labels.h"
#include "lossd/malis/malis.h"
#include "lossd/sweep/input_reader.h"
#include "lossd/sweep/large_tensor.h"
#include "lossd/sweep/slabs.h"

namespace lossd {
namespace {

using Zyx = std::array<int64_t, 3>;

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

// The labels [B, Z, Y, X] as MalisSample wants them: different where they differ, 0 where they are,
// in the bits of an int32.
at::Tensor Narrow(const at::Tensor& labels, const Context& context) {
  at::Tensor ids = labels.to(at::kCPU);
  if (ids.element_size() <= 4) return ids.to(at::kInt).contiguous();
  ids = ToType(ids, at::kLong, context).contiguous();
  const auto [least, greatest] = RangeOf(ids, context);
  if (least >= 0 && greatest <= std::numeric_limits<uint32_t>::max()) {
    return ToType(ids, at::kInt, context);
  }
  at::Tensor narrow = at::empty(ids.sizes(), at::kInt);
  const int64_t volume = ids.numel() / ids.size(0);
  auto* const out = reinterpret_cast<uint32_t*>(narrow.mutable_data_ptr<int32_t>());
  context.ParallelFor(ids.size(0), 1, [&](int64_t b, int64_t /*end*/) {
    CompactLabels(absl::MakeConstSpan(ids.const_data_ptr<int64_t>() + b * volume, volume), context,
                  absl::MakeSpan(out + b * volume, volume));
  });
  return narrow;
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
  explicit MalisLoss(const Malis& options)
      : neighborhood_(options.Neighborhood()),
        reduction_(options.reduction),
        sigmoid_(options.sigmoid),
        crop_size_(options.CropSize()) {}

  absl::StatusOr<ValueAndGradient> Compute(const LossInputs& inputs,
                                           const Context& context) const override {
    return CatchTorchErrors([&]() -> absl::StatusOr<ValueAndGradient> {
      if (absl::Status status = Check(inputs); !status.ok()) return status;
      const at::NoGradGuard no_grad;
      return ComputeIn(RegionOf(inputs), inputs, context);
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
                       CheckSegmentation(inputs.gt_seg, pred), CheckCrop(inputs)});
  }

  // The mask as [B or 1, C or 1, …], unless it has more dimensions than that.
  static at::Tensor MaskOf(const LossInputs& inputs) {
    at::Tensor mask = inputs.weight;
    if (!mask.defined()) return mask;
    if (mask.dim() == 4 && mask.size(0) == inputs.pred.size(0)) return mask.unsqueeze(1);
    while (mask.dim() < 5) mask = mask.unsqueeze(0);
    return mask;
  }

  // gt_seg as [B, Z, Y, X].
  static at::Tensor SegmentationOf(const LossInputs& inputs) {
    const at::Tensor& labels = inputs.gt_seg;
    if (labels.dim() == 5 && labels.size(1) == 1) return labels.squeeze(1);
    if (labels.dim() == 3 && inputs.pred.size(0) == 1) return labels.unsqueeze(0);
    return labels;
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
                                             const Context& context) const {
    const LossInputs seen = InRegion(region, inputs);
    const InputReader reader(seen);
    const at::IntArrayRef sizes = seen.pred.sizes();
    const AffinityEdges edges = ReadAffinityEdges(sizes, reader, sigmoid_, context);
    const at::Tensor weights = EmptyFloats(sizes);
    if (edges.ordered) {
      if (absl::Status status = ComputeWeights(
              region, edges, inputs.gt_seg.defined() ? SegmentationOf(inputs) : at::Tensor(),
              context, weights);
          !status.ok()) {
        return status;
      }
    } else {
      // No order, hence no weights: the loss is as little a number as the prediction.
      weights.fill_(std::numeric_limits<float>::quiet_NaN());
    }
    ValueAndGradient result = WeightedAffinityError(
        edges.affinity, reader, weights,
        {.sigmoid = sigmoid_, .reduction = reduction_, .want_gradient = inputs.want_gradient},
        context);
    result.value = result.value.to(inputs.pred.device());
    if (inputs.want_gradient) result.gradient = InVolume(region, result.gradient, inputs.pred);
    return result;
  }

  // What is read of the inputs, on the CPU.
  static LossInputs InRegion(const Region& region, const LossInputs& inputs) {
    const auto part = [&](const at::Tensor& tensor) {
      return tensor.defined() ? region.Of(tensor).to(at::kCPU) : tensor;
    };
    return {.pred = part(inputs.pred),
            .target = part(inputs.target),
            .weight = part(MaskOf(inputs)),
            .clamp = inputs.clamp,
            .known = part(inputs.known),
            .blank = inputs.blank};
  }

  absl::Status ComputeWeights(const Region& region, const AffinityEdges& edges,
                              const at::Tensor& gt_seg, const Context& context,
                              const at::Tensor& weights) const {
    const GridShape shape = {.z = region.size[0], .y = region.size[1], .x = region.size[2]};
    const at::Tensor labels = gt_seg.defined() ? Narrow(region.Of(gt_seg), context) : at::Tensor();
    const int64_t size = edges.affinity.numel() / edges.affinity.size(0);
    std::vector<MalisSample> samples;
    std::vector<absl::Span<float>> outputs;
    for (int64_t b = 0; b < edges.affinity.size(0); ++b) {
      const absl::Span<const int32_t> of_sample = SampleOf<int32_t>(labels, b);
      samples.push_back(
          {.shape = shape,
           .neighborhood = neighborhood_,
           .affinity = SampleOf<float>(edges.affinity, b),
           .positive = SampleOf<uint8_t>(edges.positive, b),
           .known = SampleOf<uint8_t>(edges.known, b),
           .labels = {reinterpret_cast<const uint32_t*>(of_sample.data()), of_sample.size()}});
      outputs.push_back(absl::MakeSpan(weights.mutable_data_ptr<float>() + b * size, size));
    }
    return MalisWeights(samples, context, context.workspace(), outputs);
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
  const Reduction reduction_;
  const bool sigmoid_;
  const std::optional<Zyx> crop_size_;
};

}  // namespace

absl::Status Malis::Check() const {
  const size_t sizes = malis_crop_size.size();
  if (sizes == 0 || sizes == 1 || sizes == 3) return absl::OkStatus();
  return FieldError("malis_crop_size", absl::StrCat(sizes, " numbers"), "1 or 3");
}

std::vector<Offset> Malis::Neighborhood() const {
  if (nhood.empty()) return {{-1, 0, 0}, {0, -1, 0}, {0, 0, -1}};
  return nhood;
}

std::optional<Zyx> Malis::CropSize() const {
  const std::vector<int64_t>& sizes = malis_crop_size;
  if (sizes.empty()) return std::nullopt;
  if (sizes.size() == 1) return Zyx{sizes[0], sizes[0], sizes[0]};
  return Zyx{sizes[0], sizes[1], sizes[2]};
}

std::unique_ptr<const Loss> Malis::Make() const { return std::make_unique<MalisLoss>(*this); }

}  // namespace lossd
