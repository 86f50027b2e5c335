#include "lossd/device/neighbours.h"

#include <ATen/ATen.h>
#include <c10/core/DeviceGuard.h>

#include "lossd/device/grouped.h"
#include "lossd/device/neighbours_in_stream.h"
#include "lossd/malis/flat/host_loops.h"

namespace lossd {
namespace {

// Few: the host's threads shall meet in the small volumes of tests.
constexpr int64_t kGrain = 256;

flat::Volumes VolumesOf(const at::Tensor& tensor) {
  const auto size = [&](int64_t dimension) {
    return static_cast<uint32_t>(tensor.size(dimension));
  };
  const bool has_z = tensor.dim() == 5;
  return {.count = size(0) * size(1),
          .z = has_z ? size(2) : 1,
          .y = size(-2),
          .x = size(-1),
          .has_z = has_z};
}

}  // namespace

GpuSums SumWorstNeighboursOnGpu(const GpuWorstNeighbours& inputs, const GpuGradient& gradient,
                                const Context& context) {
  const at::Tensor& pred = inputs.pred;
  const c10::DeviceGuard guard(pred.device());
  const at::Tensor preds = Voxels(pred, at::kFloat);
  const at::Tensor targets = Voxels(inputs.target, at::kFloat);
  const at::Tensor weights =
      inputs.weight.defined() ? Voxels(inputs.weight, at::kFloat) : inputs.weight;
  const at::Tensor channels = ChannelsOn(pred.device(), inputs.channels);
  const GpuGradientPlace place(gradient);
  const flat::WorstNeighbourTensors tensors = {
      .volumes = VolumesOf(pred),
      .radius = static_cast<int32_t>(inputs.radius),
      .channels = static_cast<uint32_t>(pred.size(1)),
      .pred = GroupedOf<const float>(preds),
      .target = GroupedOf<const float>(targets),
      .weight = GroupedOf<const float>(weights),
      .gradient = place.place(),
      .of_channel = static_cast<const PointwiseChannel*>(channels.const_data_ptr())};
  at::Tensor sums = at::empty({pred.size(0), pred.size(1), 1}, pred.options().dtype(at::kDouble));
  auto* const into = sums.mutable_data_ptr<double>();
  if (pred.is_cpu()) {
    flat::WorkspaceMemory memory(context.workspace());
    flat::HostLoops loops(context, memory, kGrain);
    flat::SumWorstNeighbours(loops, tensors, into);
  } else {
    SumWorstNeighboursInStream(tensors, into, context);
  }
  return {.sums = sums.to(at::kCPU), .finite = place.finite()};
}

at::Tensor OverlapSkeletonsOnGpu(
    const GpuSkeletons& inputs,
    const std::function<at::Tensor(const at::Tensor& sums)>& derivative_of,
    const Context& context) {
  const at::Tensor& pred = inputs.pred;
  const c10::DeviceGuard guard(pred.device());
  const at::Tensor weights = inputs.weight.defined()
                                 ? Voxels(inputs.weight.expand(pred.sizes()), at::kFloat)
                                 : inputs.weight;
  const flat::Volumes volumes = VolumesOf(pred);
  // Of the prediction's skeletons and of the targets'.
  const at::Tensor sums = at::empty({2, volumes.count, 2}, pred.options().dtype(at::kDouble));
  const at::Tensor of_sums = at::empty_like(sums);
  const flat::SkeletonTensors tensors = {
      .volumes = volumes,
      .channels = static_cast<uint32_t>(pred.size(1)),
      .pred = pred.const_data_ptr<float>(),
      .target = inputs.target.const_data_ptr<float>(),
      .weight = GroupedOf<const float>(weights),
      .gradient = inputs.gradient.defined() ? inputs.gradient.mutable_data_ptr<float>() : nullptr,
      .sums = {.pred = sums[0].mutable_data_ptr<double>(),
               .target = sums[1].mutable_data_ptr<double>()},
      .of_sums = {.pred = of_sums[0].const_data_ptr<double>(),
                  .target = of_sums[1].const_data_ptr<double>()}};
  const auto rows = [](const at::Tensor& each) {
    return at::cat({each[0], each[1]}, 1).to(at::kCPU);
  };
  const auto derive = [&](uint32_t first, uint32_t count) {
    const at::Tensor of_rows = derivative_of(rows(sums.narrow(1, first, count)));
    of_sums.narrow(1, first, count)
        .copy_(at::stack({of_rows.narrow(1, 0, 2), of_rows.narrow(1, 2, 2)}));
  };
  if (pred.is_cpu()) {
    flat::WorkspaceMemory memory(context.workspace());
    flat::HostLoops loops(context, memory, kGrain);
    flat::OverlapSkeletons(loops, tensors, inputs.num_iters, derive);
  } else {
    OverlapSkeletonsInStream(tensors, inputs.num_iters, derive, context);
  }
  return rows(sums);
}

}  // namespace lossd
