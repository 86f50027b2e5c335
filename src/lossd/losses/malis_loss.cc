#include "lossd/losses/malis_loss.h"

#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <array>
#include <limits>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "lossd/base/error.h"
#include "lossd/device/kernels.h"
#include "lossd/device/sweeps.h"
#include "lossd/losses/affinity_error.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/torch_status.h"
#include "lossd/malis/flat/batch.h"
#include "lossd/malis/labels.h"
#include "lossd/malis/malis.h"
#include "lossd/sweep/block_reader.h"
#include "lossd/sweep/gpu_gradient_writer.h"
#include "lossd/sweep/gradient_writer.h"
#include "lossd/sweep/input_reader.h"
#include "lossd/sweep/slabs.h"
#include "lossd/sweep/sweep.h"
#include "lossd/tensor/large_tensor.h"

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

// The labels of a sample as MalisSample wants them: different where they differ, 0 where they are,
// in the bits of an int32.
at::Tensor Narrow(const at::Tensor& labels, const Context& context) {
  at::Tensor ids = labels;
  if (ids.element_size() <= 4) return ids.to(at::kInt).contiguous();
  ids = ToType(ids, at::kLong, context).contiguous();
  const auto [least, greatest] = RangeOf(ids, context);
  if (least >= 0 && greatest <= std::numeric_limits<uint32_t>::max()) {
    return ToType(ids, at::kInt, context);
  }
  at::Tensor narrow = at::empty(ids.sizes(), at::kInt);
  const auto size = static_cast<size_t>(ids.numel());
  auto* const out = reinterpret_cast<uint32_t*>(narrow.mutable_data_ptr<int32_t>());
  CompactLabels(absl::MakeConstSpan(ids.const_data_ptr<int64_t>(), size), context,
                absl::MakeSpan(out, size));
  return narrow;
}

// The same on a GPU.
at::Tensor NarrowOnGpu(const at::Tensor& labels, const Context& context) {
  if (labels.element_size() <= 4) return labels.to(at::kInt).contiguous();
  const at::Tensor ids = labels.to(at::kLong).contiguous();
  const auto [least, greatest] = RangeOf<int64_t>(ids, context);
  if (least >= 0 && greatest <= std::numeric_limits<uint32_t>::max()) return ids.to(at::kInt);
  const at::Tensor numbers =
      std::get<1>(at::_unique2(ids, /*sorted=*/true, /*return_inverse=*/true));
  return numbers.add_(1).masked_fill_(ids.eq(0), 0).to(at::kInt);
}

template <typename T>
absl::Span<const T> SpanOf(const Workspace::Buffer<T>& buffer) {
  return {buffer.data(), buffer.size()};
}

// A sample of a batch; of an undefined tensor nothing, and of one for all samples that one.
at::Tensor SampleOf(const at::Tensor& tensor, int64_t sample) {
  if (!tensor.defined() || tensor.size(0) == 1) return tensor;
  return tensor.narrow(0, sample, 1);
}

class MalisLoss : public Loss {
 public:
  explicit MalisLoss(const Malis& options)
      : neighborhood_(options.Neighborhood()),
        reduction_(options.reduction),
        sigmoid_(options.sigmoid),
        crop_size_(options.CropSize()) {}

  absl::StatusOr<LossResult> Compute(const LossInputs& inputs,
                                     const Context& context) const override {
    return CatchTorchErrors([&]() -> absl::StatusOr<LossResult> {
      if (absl::Status status = Check(inputs); !status.ok()) return status;
      const at::NoGradGuard no_grad;
      const Region region = RegionOf(inputs);
      const LossInputs seen = InRegion(region, inputs);
      if (inputs.gradient.wanted() && seen.pred.sizes() != inputs.pred.sizes()) {
        GradientWriter(inputs.gradient).PutZeros(inputs.gradient.into, context);
      }
      return context.on_gpu() ? ComputeOnGpu(seen, context) : ComputeSamples(seen, context);
    });
  }

  // Of the samples that are computed at a time: what is read of them, weights, ids, the engine.
  int64_t ScratchBytes(const LossShape& shape) const override {
    const GridShape grid = GridOf(shape);
    const int64_t edges = shape.channels() * grid.voxels();
    const int64_t at_a_time = std::min<int64_t>(shape.threads, shape.samples());
    constexpr int64_t kEdge = 2 * sizeof(float) + 2;
    constexpr int64_t kVoxel = 2 * sizeof(int64_t) + sizeof(int32_t);
    return at_a_time *
           (kEdge * edges + kVoxel * grid.voxels() + MalisScratchBytes(grid, shape.channels()));
  }

  int64_t GpuScratchBytes(const LossShape& shape) const override {
    // Logits, affinities, target and weights, and what is positive and known; the engine, and ids.
    constexpr int64_t kEdge = 4 * sizeof(float) + 2;
    const int64_t of_voxel = kEdge * shape.channels() +
                             flat::ScratchBytesOfVoxel(shape.channels()) +
                             static_cast<int64_t>(sizeof(int32_t));
    return of_voxel * shape.samples() * GridOf(shape).voxels();
  }

  // Two passes over the edges, each of which sorts, joins and counts.
  double Cost(const LossShape& shape) const override {
    constexpr double kEdge = 20;
    return kEdge * static_cast<double>(shape.samples() * shape.channels() * GridOf(shape).voxels());
  }

 private:
  // What is looked at of a sample.
  GridShape GridOf(const LossShape& shape) const {
    const Zyx size = crop_size_.value_or(Zyx{shape.pred[2], shape.pred[3], shape.pred[4]});
    return {.z = size[0], .y = size[1], .x = size[2]};
  }

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

  struct SampleResult {
    absl::Status status = {};
    double sum = 0;
    bool finite = true;
    MalisPairs pairs = {};
  };

  // Sample by sample, as many at a time as threads take: scratch memory is that of samples.
  absl::StatusOr<LossResult> ComputeSamples(const LossInputs& seen, const Context& context) const {
    const int64_t samples = seen.pred.size(0);
    const double scale = Scale(seen);
    at::Tensor map;
    if (reduction_ == Reduction::kNone) map = EmptyLarge(seen.pred.sizes());
    std::vector<SampleResult> results(samples);
    context.ParallelFor(samples, 1, [&](int64_t b, int64_t /*end*/) {
      LossInputs sample = seen;
      for (at::Tensor* tensor : {&sample.pred, &sample.target, &sample.weight, &sample.known,
                                 &sample.gt_seg, &sample.gradient.into}) {
        *tensor = SampleOf(*tensor, b);
      }
      float* const of_map =
          map.defined() ? map.mutable_data_ptr<float>() + b * map.stride(0) : nullptr;
      results[b] = ComputeSample(sample, scale, of_map, context);
    });
    if (absl::Status status = context.status(); !status.ok()) return status;
    double sum = 0;
    LossResult result;
    for (const SampleResult& sample : results) {
      if (!sample.status.ok()) return sample.status;
      sum += sample.sum;
      result.finite = result.finite && sample.finite;
      result.pairs += sample.pairs;
    }
    result.value = map.defined() ? map : at::scalar_tensor(scale * sum, at::kFloat);
    return result;
  }

  // Factor on the sum over all elements, and on its gradient.
  double Scale(const LossInputs& seen) const {
    return reduction_ == Reduction::kMean ? 1 / static_cast<double>(seen.pred.numel()) : 1;
  }

  // All samples at once: LibTorch expressions, but for what MALIS is about.
  absl::StatusOr<LossResult> ComputeOnGpu(const LossInputs& seen, const Context& context) const {
    const LossInputs applied = ApplyMasks(seen, context);
    const at::IntArrayRef sizes = seen.pred.sizes();
    const at::Tensor pred = WidenAndClamp(applied.pred, applied.clamp).contiguous();
    const at::Tensor affinity = sigmoid_ ? SigmoidOnGpu(pred) : pred;
    const at::Tensor target = applied.target.to(at::kFloat);
    const auto bytes = [&](const at::Tensor& flags) {
      return flags.to(at::kByte).expand(sizes).contiguous();
    };
    GpuMalisBatch batch = {.neighborhood = neighborhood_,
                           .affinity = affinity,
                           .positive = bytes(target.gt(0.5)),
                           .known = {},
                           .labels = {}};
    if (applied.weight.defined()) batch.known = bytes(applied.weight.to(at::kFloat).eq(1));
    if (seen.gt_seg.defined()) batch.labels = NarrowOnGpu(seen.gt_seg, context);
    const auto [weights, pairs] = WeightsOnGpu(batch, context);
    if (absl::Status status = context.status(); !status.ok()) return status;

    const double scale = Scale(seen);
    const bool blanked = seen.blank.has_value() && seen.known.defined();
    GpuGradientWriter writer(seen.gradient);
    const GpuSums errors = SumAffinityErrorsOnGpu(
        {.affinity = affinity,
         .target = target.expand(sizes),
         .weight = weights,
         .unknown = blanked ? seen.known.logical_not().expand(sizes) : at::Tensor(),
         .sigmoid = sigmoid_,
         .gradient_scale = static_cast<float>(scale * seen.gradient.factor)},
        writer.place());
    LossResult result = {.value = (errors.sums.sum() * scale).to(at::kFloat),
                         .finite = writer.Finish(errors.finite),
                         .pairs = PairsOf(pairs)};
    if (reduction_ == Reduction::kNone) result.value = weights * (affinity - target).square();
    return result;
  }

  // A sample with an affinity that is not a number has no order, hence no weights: the loss is as
  // little a number as the prediction.
  static GpuMalisWeights WeightsOnGpu(const GpuMalisBatch& batch, const Context& context) {
    if (std::optional<GpuMalisWeights> found = MalisWeightsOnGpu(batch, context)) return *found;
    GpuMalisWeights all = {
        .weights = at::full_like(batch.affinity, std::numeric_limits<float>::quiet_NaN()),
        .pairs = at::zeros({2}, batch.affinity.options().dtype(at::kLong))};
    const int64_t samples = batch.affinity.size(0);
    for (int64_t b = 0; samples > 1 && b < samples; ++b) {
      const GpuMalisWeights one = WeightsOnGpu({.neighborhood = batch.neighborhood,
                                                .affinity = SampleOf(batch.affinity, b),
                                                .positive = SampleOf(batch.positive, b),
                                                .known = SampleOf(batch.known, b),
                                                .labels = SampleOf(batch.labels, b)},
                                               context);
      SampleOf(all.weights, b).copy_(one.weights);
      all.pairs += one.pairs;
    }
    return all;
  }

  static MalisPairs PairsOf(const at::Tensor& on_gpu) {
    const at::Tensor pairs = on_gpu.cpu();
    const auto* const numbers = pairs.const_data_ptr<int64_t>();
    return {.negative = static_cast<uint64_t>(numbers[0]),
            .positive = static_cast<uint64_t>(numbers[1])};
  }

  // What is looked at of the inputs, and where their gradient goes.
  static LossInputs InRegion(const Region& region, const LossInputs& inputs) {
    const auto part = [&](const at::Tensor& tensor) {
      return tensor.defined() ? region.Of(tensor) : tensor;
    };
    LossInputs seen = {.pred = part(inputs.pred),
                       .target = part(inputs.target),
                       .weight = part(MaskOf(inputs)),
                       .clamp = inputs.clamp,
                       .known = part(inputs.known),
                       .blank = inputs.blank,
                       .gradient = inputs.gradient};
    if (inputs.gt_seg.defined()) seen.gt_seg = region.Of(SegmentationBySample(inputs.gt_seg));
    if (seen.gradient.wanted()) seen.gradient.into = region.Of(inputs.gradient.into);
    return seen;
  }

  // `scale`: factor on the gradient.
  SampleResult ComputeSample(const LossInputs& sample, double scale, float* map,
                             const Context& context) const {
    const Blocks blocks(sample.pred.sizes());
    const InputReader reader(sample);
    const AffinityEdges edges = ReadAffinityEdges(blocks, reader, sigmoid_, context);
    // Weights lie where the gradient goes if they can: it takes their place.
    GradientWriter writer(sample.gradient);
    const at::Tensor& into = sample.gradient.into;
    const bool in_place = writer.in_place() && into.is_contiguous();
    Workspace::Buffer<float> scratch(context.workspace(), in_place ? 0 : edges.affinity.size());
    float* const weights = in_place ? into.mutable_data_ptr<float>() : scratch.data();
    SampleResult result;
    result.status =
        ComputeWeights(sample, edges, context, {weights, edges.affinity.size()}, result.pairs);
    if (!result.status.ok()) return result;
    const auto error = [&](GradientWriter& of_region) {
      return WeightedAffinityError(blocks, edges.affinity.data(), reader, weights,
                                   {.sigmoid = sigmoid_, .gradient_scale = scale, .map = map},
                                   of_region, context);
    };
    if (!writer.wanted() || (into.is_cpu() && VoxelStride(into) == 1)) {
      result.sum = error(writer);
    } else {
      // Between what lies around a crop, or on another device.
      const at::Tensor gradient = at::from_blob(weights, sample.pred.sizes(), at::kFloat);
      GradientWriter of_crop({.into = gradient, .factor = sample.gradient.factor});
      result.sum = error(of_crop);
      writer.PutPart(into, gradient);
    }
    result.finite = writer.finite();
    return result;
  }

  absl::Status ComputeWeights(const LossInputs& sample, const AffinityEdges& edges,
                              const Context& context, absl::Span<float> weights,
                              MalisPairs& pairs) const {
    if (!edges.ordered) {
      // No order, hence no weights: the loss is as little a number as the prediction.
      std::fill(weights.begin(), weights.end(), std::numeric_limits<float>::quiet_NaN());
      return absl::OkStatus();
    }
    const at::Tensor ids = sample.gt_seg.defined() ? Narrow(sample.gt_seg, context) : at::Tensor();
    absl::Span<const uint32_t> labels;
    if (ids.defined()) {
      labels = {reinterpret_cast<const uint32_t*>(ids.const_data_ptr<int32_t>()),
                static_cast<size_t>(ids.numel())};
    }
    const auto [z, y, x] = VolumeOf(sample.pred);
    const MalisSample volume = {.shape = {.z = z, .y = y, .x = x},
                                .neighborhood = neighborhood_,
                                .affinity = SpanOf(edges.affinity),
                                .positive = SpanOf(edges.positive),
                                .known = SpanOf(edges.known),
                                .labels = labels};
    return MalisWeights({&volume, 1}, context, context.workspace(), {&weights, 1}, &pairs);
  }

  const std::vector<Offset> neighborhood_;
  const Reduction reduction_;
  const bool sigmoid_;
  const std::optional<Zyx> crop_size_;
};

}  // namespace

std::optional<OptionProblem> Malis::Check() const {
  const size_t sizes = malis_crop_size.size();
  if (sizes == 0 || sizes == 1 || sizes == 3) return std::nullopt;
  return OptionProblem{
      .option = "malis_crop_size", .given = absl::StrCat(sizes, " numbers"), .expected = "1 or 3"};
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
