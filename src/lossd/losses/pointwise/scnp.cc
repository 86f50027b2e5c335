#include "lossd/losses/pointwise/scnp.h"

#include <algorithm>
#include <array>
#include <limits>
#include <vector>

#include "lossd/device/neighbours.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/checks.h"
#include "lossd/losses/pointwise/bce.h"
#include "lossd/losses/pointwise/bce_with_logits.h"
#include "lossd/losses/reduction.h"
#include "lossd/sweep/block_reader.h"
#include "lossd/sweep/flat/volumes.h"
#include "lossd/sweep/fused_pointwise.h"
#include "lossd/sweep/gpu_gradient_writer.h"
#include "lossd/sweep/gradient_writer.h"
#include "lossd/sweep/input_reader.h"
#include "lossd/sweep/kernels.h"
#include "lossd/sweep/pooling.h"
#include "lossd/sweep/sweep.h"
#include "lossd/tensor/large_tensor.h"

namespace lossd {
namespace {

// As many planes as a task looks at, unless windows reach further.
constexpr int64_t kSlabPlanes = 8;

// A channel as planes of rows of voxels. The rows of an image are planes of one row.
struct Grid {
  Grid(at::IntArrayRef sizes, int64_t window_radius)
      : planes(sizes[2]),
        rows(sizes.size() == 5 ? sizes[3] : 1),
        size(sizes.back()),
        radius(window_radius),
        row_radius(sizes.size() == 5 ? window_radius : 0) {}

  int64_t voxels() const { return planes * rows * size; }

  int64_t planes;
  int64_t rows;
  int64_t size;
  int64_t radius;
  int64_t row_radius;
};

// Some planes of a channel and those around them that their windows reach, with a border.
class Slab {
 public:
  Slab(const Grid& grid, int64_t planes)
      : grid_(grid),
        row_(grid.size + 2 * grid.radius),
        plane_((grid.rows + 2 * grid.row_radius) * row_),
        badness_((planes + 2 * grid.radius) * plane_),
        class_(badness_.size()) {}

  // Reads what the windows of the planes [begin, end) reach.
  void Read(const InputReader& reader, const BlockRange& channel, int64_t begin, int64_t end) {
    begin_ = begin;
    std::fill(class_.begin(), class_.end(), -1);
    std::vector<float> pred_scratch(grid_.size);
    std::vector<float> target_scratch(grid_.size);
    const int64_t first = std::max<int64_t>(begin - grid_.radius, 0);
    const int64_t last = std::min(end + grid_.radius, grid_.planes);
    for (int64_t z = first; z < last; ++z) {
      for (int64_t y = 0; y < grid_.rows; ++y) {
        const BlockRange range = {.sample = channel.sample,
                                  .channel = channel.channel,
                                  .begin = (z * grid_.rows + y) * grid_.size,
                                  .size = grid_.size};
        BadnessBlock(reader.Pred(range, pred_scratch.data()),
                     reader.Target(range, target_scratch.data()), grid_.size,
                     &badness_[Index(z, y)], &class_[Index(z, y)]);
      }
    }
  }

  // The logit that each voxel of a row is scored by, and how far away in the volume it is.
  void WorstLogits(int64_t z, int64_t y, float* logits, int32_t* offset) const {
    const int32_t* own_class = &class_[Index(z, y)];
    WorstNeighbours({.badness = &badness_[Index(z, y)],
                     .voxel_class = own_class,
                     .radius = {grid_.radius, grid_.row_radius, grid_.radius},
                     .stride = {plane_, row_},
                     .volume_stride = {grid_.rows * grid_.size, grid_.size}},
                    grid_.size, logits, offset);
    for (int64_t x = 0; x < grid_.size; ++x) logits[x] = own_class[x] == 1 ? -logits[x] : logits[x];
  }

 private:
  // Of a row's first voxel.
  int64_t Index(int64_t z, int64_t y) const {
    return (z - begin_ + grid_.radius) * plane_ + (y + grid_.row_radius) * row_ + grid_.radius;
  }

  const Grid grid_;
  const int64_t row_;
  const int64_t plane_;
  int64_t begin_ = 0;
  std::vector<float> badness_;
  std::vector<int32_t> class_;
};

class ScnpLoss : public AutogradLoss {
 public:
  explicit ScnpLoss(const Scnp& options) : options_(options) {}

  int64_t ScratchBytes(const LossShape& shape) const override {
    const Grid grid(shape.pred, options_.neighborhood_size / 2);
    const int64_t planes = std::max(2 * grid.radius, kSlabPlanes) + 2 * grid.radius;
    const int64_t plane = (grid.rows + 2 * grid.row_radius) * (grid.size + 2 * grid.radius);
    constexpr int64_t kBytes = sizeof(float) + sizeof(int32_t);
    return shape.threads * planes * plane * kBytes + shape.bytes_beside();
  }

  int64_t GpuScratchBytes(const LossShape& shape) const override {
    // Of a part: a derivative, a neighbour's number, sums. Of all: target and weight as floats, and
    // as they are with masks applied.
    constexpr int64_t kOfPart = sizeof(float) + sizeof(uint16_t) + 1;
    const int64_t of_element = static_cast<int64_t>(sizeof(float)) * (shape.masked ? 4 : 1);
    return kOfPart * flat::ElementsOfPart(shape.samples() * shape.channels(), shape.voxels()) +
           of_element * shape.elements() + shape.bytes_beside();
  }

 protected:
  absl::Status Check(const LossInputs& inputs) const override { return CheckPredTarget(inputs); }

  absl::StatusOr<at::Tensor> Forward(const LossInputs& inputs) const override {
    std::optional<at::Tensor> pos_weight;
    if (options_.auto_pos_weight) {
      pos_weight = BalancingPosWeight(inputs.target, inputs.weight, options_.max_pos_weight,
                                      inputs.pred.scalar_type());
    }
    const at::Tensor map =
        BceMap(WorstLogits(inputs.pred, inputs.target.gt(0.5)), inputs.target, pos_weight);
    return ReduceWeightedPerChannel(map, inputs.weight, options_.reduction);
  }

 private:
  bool FusesMasks() const override { return true; }

  // What is computed of the logits of worst neighbours.
  FusedPointwise OfWorst() const {
    FusedPointwise bce = {
        .element = &BinaryCrossEntropyOf, .reduction = options_.reduction, .per_channel = true};
    if (options_.auto_pos_weight) bce.max_pos_weight = options_.max_pos_weight;
    return bce;
  }

  // Slab by slab. A slab adds to the gradient of those next to it: first every other one is
  // computed, then the rest.
  LossResult ComputeInSlabs(const Grid& grid, const LossInputs& inputs,
                            const Context& context) const {
    const at::IntArrayRef sizes = inputs.pred.sizes();
    const InputReader reader(inputs);
    const Blocks blocks(sizes);
    GradientWriter writer(inputs.gradient);
    const std::vector<ChannelSum> of_channels =
        ChannelSums(OfWorst(), blocks, reader, writer, context);
    // Voxels add to the gradients of others: these are whole before they are put.
    GradientInto whole;
    if (writer.wanted()) whole.into = writer.in_place() ? inputs.gradient.into : EmptyLarge(sizes);
    GradientWriter whole_writer(whole);
    if (writer.wanted()) whole_writer.PutZeros(whole.into, context);

    const int64_t planes = std::max(2 * grid.radius, kSlabPlanes);
    const int64_t slabs = (grid.planes + planes - 1) / planes;
    const int64_t channels = sizes[1];
    std::vector<double> sums(sizes[0] * channels * slabs);
    for (const int64_t odd : {0, 1}) {
      const int64_t per_channel = (slabs + 1 - odd) / 2;
      context.ParallelFor(sizes[0] * channels * per_channel, 1, [&](int64_t task, int64_t /*end*/) {
        const int64_t group = task / per_channel;
        const int64_t index = task % per_channel * 2 + odd;
        const BlockRange channel = {.sample = group / channels, .channel = group % channels};
        const int64_t begin = index * planes;
        const int64_t end = std::min(begin + planes, grid.planes);
        Slab slab(grid, end - begin);
        slab.Read(reader, channel, begin, end);
        std::vector<float> logits(grid.size);
        std::vector<int32_t> offsets(grid.size);
        std::vector<float> scratch[3];
        for (auto& floats : scratch) floats.resize(grid.size);
        double& sum = sums[group * slabs + index];
        for (int64_t row = begin * grid.rows; row < end * grid.rows; ++row) {
          slab.WorstLogits(row / grid.rows, row % grid.rows, logits.data(), offsets.data());
          BlockRange range = channel;
          range.begin = row * grid.size;
          range.size = grid.size;
          float* derivative = writer.wanted() ? scratch[2].data() : nullptr;
          const ChannelSum& of_channel = of_channels[channel.channel];
          sum += of_channel.element.Sum({.pred = logits.data(),
                                         .target = reader.Target(range, scratch[0].data()),
                                         .weight = reader.Weight(range, scratch[1].data()),
                                         .gradient = derivative,
                                         .size = grid.size},
                                        of_channel.options);
          if (derivative == nullptr) continue;
          float* of_row = whole_writer.Block(range, /*scratch=*/nullptr);
          for (int64_t x = 0; x < grid.size; ++x) of_row[x + offsets[x]] += derivative[x];
        }
      });
    }
    if (writer.wanted()) {
      Sweep<0>(blocks, context, [&](const BlockRange& range) {
        float* const block = whole_writer.Block(range, /*scratch=*/nullptr);
        // Slabs pass gradients on to voxels outside of the mask, too, also to those of others.
        reader.FinishGradient(range, block);
        writer.Put(range, block);
        return std::array<double, 0>{};
      });
    }
    double value = 0;
    for (size_t i = 0; i < sums.size(); ++i) {
      const auto channel = static_cast<int64_t>(i) / slabs % channels;
      value += sums[i] * static_cast<double>(of_channels[channel].scale);
    }
    return {.value = at::scalar_tensor(value, at::kFloat), .finite = writer.finite()};
  }

  std::optional<absl::StatusOr<LossResult>> ComputeFused(const LossInputs& inputs,
                                                         const Context& context) const override {
    const Grid grid(inputs.pred.sizes(), options_.neighborhood_size / 2);
    // Offsets have 32 bits.
    const bool fits =
        (grid.radius + 1) * grid.rows * grid.size <= std::numeric_limits<int32_t>::max();
    if (options_.reduction == Reduction::kNone || !fits) return std::nullopt;
    return ComputeInSlabs(grid, inputs, context);
  }

  std::optional<absl::StatusOr<LossResult>> ComputeOnGpu(const LossInputs& inputs,
                                                         const Context& context) const override {
    const Grid grid(inputs.pred.sizes(), options_.neighborhood_size / 2);
    if (options_.reduction == Reduction::kNone || grid.voxels() >= flat::kMostElements) {
      return std::nullopt;
    }
    const GpuSweepInputs sweep = PrepareGpuSweep(OfWorst(), inputs);
    const GpuGradientWriter writer(inputs.gradient);
    const GpuSums sums = SumWorstNeighboursOnGpu({.pred = sweep.pred,
                                                  .target = sweep.target,
                                                  .weight = sweep.weight,
                                                  .radius = grid.radius,
                                                  .channels = sweep.OfChannels()},
                                                 writer.place(), context);
    return LossResult{.value = sweep.Value(sums.sums), .finite = writer.Finish(sums.finite)};
  }

  at::Tensor WorstLogits(const at::Tensor& logits, const at::Tensor& foreground) const {
    // Voxels of the other class must never be chosen; every voxel is a neighbour of its own.
    const auto never = std::numeric_limits<float>::infinity();
    const std::vector<int64_t> window(logits.dim() - 2, options_.neighborhood_size);
    const at::Tensor least = MinPool(logits.masked_fill(foreground.logical_not(), never), window);
    const at::Tensor greatest = MaxPool(logits.masked_fill(foreground, -never), window);
    return at::where(foreground, least, greatest);
  }

  const Scnp options_;
};

}  // namespace

std::unique_ptr<const Loss> Scnp::Make() const { return std::make_unique<ScnpLoss>(*this); }

}  // namespace lossd
