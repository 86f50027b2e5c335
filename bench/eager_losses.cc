#include "bench/eager_losses.h"

#include <cstdlib>
#include <limits>
#include <vector>

#include "bench/reference_malis.h"

namespace lossd::eager {
namespace {

constexpr double kSmooth = 1e-5;

std::vector<int64_t> Space(const at::Tensor& x) {
  std::vector<int64_t> dims;
  for (int64_t d = 2; d < x.dim(); ++d) dims.push_back(d);
  return dims;
}

// The mean of map × weight where the weight is above 0. Kinder than what the originals do, who
// select those elements.
at::Tensor MaskedMean(const at::Tensor& map, const at::Tensor& weight) {
  if (!weight.defined()) return map.mean();
  const at::Tensor valid = weight.gt(0).expand_as(map);
  return (map * weight * valid).sum() / valid.sum().clamp_min(1);
}

at::Tensor MeanWithMask(const at::Tensor& map, const at::Tensor& mask) {
  return (mask.defined() ? map * mask : map).mean();
}

at::Tensor OneHot(const LossInputs& inputs) {
  return at::zeros_like(inputs.pred).scatter_(1, inputs.target.to(at::kLong), 1);
}

at::Tensor DiceOf(const at::Tensor& p, const at::Tensor& t) {
  const std::vector<int64_t> space = Space(p);
  const at::Tensor common = (p * t).sum(space);
  return (1 - (2 * common + kSmooth) / (p.sum(space) + t.sum(space) + kSmooth)).mean();
}

// Channel by channel: weight of positives from their number, masked mean; the channels added.
at::Tensor BalancedBce(const at::Tensor& logits, const at::Tensor& target,
                       const at::Tensor& weight) {
  std::vector<int64_t> not_channels = Space(target);
  not_channels.push_back(0);
  at::Tensor positive = target > 0;
  at::Tensor negative = target <= 0;
  if (weight.defined()) {
    positive = positive.logical_and(weight > 0);
    negative = negative.logical_and(weight > 0);
  }
  const at::Tensor positives = positive.sum(not_channels, /*keepdim=*/true);
  const at::Tensor negatives = negative.sum(not_channels, /*keepdim=*/true);
  const at::Tensor pos_weight = at::where(positives > 0, (negatives / positives).clamp_max(10),
                                          at::ones({}, logits.options()));
  const at::Tensor map =
      at::binary_cross_entropy_with_logits(logits, target, {}, pos_weight, at::Reduction::None);
  at::Tensor total = at::zeros({}, logits.options());
  for (int64_t c = 0; c < map.size(1); ++c) {
    const bool per_channel = weight.defined() && weight.size(1) > 1;
    total = total + MaskedMean(map.narrow(1, c, 1), per_channel ? weight.narrow(1, c, 1) : weight);
  }
  return total;
}

at::Tensor MinPool(const at::Tensor& x, at::IntArrayRef window, at::IntArrayRef padding) {
  return -at::max_pool3d(-x, window, 1, padding);
}

at::Tensor Erode(const at::Tensor& x) {
  return at::minimum(
      at::minimum(MinPool(x, {3, 1, 1}, {1, 0, 0}), MinPool(x, {1, 3, 1}, {0, 1, 0})),
      MinPool(x, {1, 1, 3}, {0, 0, 1}));
}

at::Tensor Open(const at::Tensor& x) { return at::max_pool3d(Erode(x), 3, 1, 1); }

at::Tensor Skeleton(at::Tensor x) {
  at::Tensor skeleton = at::relu(x - Open(x));
  for (int i = 0; i < 5; ++i) {
    x = Erode(x);
    const at::Tensor delta = at::relu(x - Open(x));
    skeleton = skeleton + at::relu(delta - skeleton * delta);
  }
  return skeleton;
}

}  // namespace

at::Tensor BCEWithLogits(const LossInputs& x) {
  return at::binary_cross_entropy_with_logits(x.pred, x.target);
}

at::Tensor BinaryRegularization(const LossInputs& x) {
  return MeanWithMask(1 / (x.pred.sigmoid() - 0.5).abs().clamp_min(0.01), x.weight);
}

at::Tensor ContourDistanceConsistency(const LossInputs& x) {
  return MeanWithMask((x.pred.sigmoid() * x.pred2.tanh().abs()).pow(2), x.weight);
}

at::Tensor CrossEntropy(const LossInputs& x) {
  return at::cross_entropy_loss(x.pred, x.target.squeeze(1).to(at::kLong));
}

at::Tensor DiceCE(const LossInputs& x) { return DiceSoftmax(x) + CrossEntropy(x); }

at::Tensor DiceFocal(const LossInputs& x) { return Dice(x) + Focal(x); }

at::Tensor Dice(const LossInputs& x) { return DiceOf(x.pred.sigmoid(), x.target); }

at::Tensor DiceSoftmax(const LossInputs& x) { return DiceOf(x.pred.softmax(1), OneHot(x)); }

at::Tensor Focal(const LossInputs& x) {
  const at::Tensor bce = x.pred - x.pred * x.target - at::log_sigmoid(x.pred);
  const at::Tensor log_miss = at::log_sigmoid(-x.pred * (x.target * 2 - 1));
  return ((log_miss * 2).exp() * bce).mean();
}

at::Tensor FocalSoftmax(const LossInputs& x) {
  const at::Tensor log_p = x.pred.log_softmax(1);
  return (-(1 - log_p.exp()).pow(2) * log_p * OneHot(x)).mean();
}

at::Tensor ForegroundContourConsistency(const LossInputs& x) {
  const at::Tensor kernel = at::tensor({1.0F, 0.0F, -1.0F});
  const std::vector<int64_t> shape = x.pred.sizes().vec();
  // One channel at a time.
  const at::Tensor p = x.pred.sigmoid().view({-1, 1, shape[2], shape[3], shape[4]});
  const at::Tensor along_x = at::conv3d(p, kernel.view({1, 1, 1, 1, 3}), {}, 1, {0, 0, 1});
  const at::Tensor along_y = at::conv3d(p, kernel.view({1, 1, 1, 3, 1}), {}, 1, {0, 1, 0});
  const at::Tensor edge = (along_x.pow(2) + along_y.pow(2) + 1e-7).sqrt().clamp(1e-7, 1 - 1e-7);
  const at::Tensor wide =
      at::max_pool3d(at::constant_pad_nd(edge, {1, 1, 1, 1, 0, 0}), {1, 3, 3}, 1).view(shape);
  return MeanWithMask((wide - x.pred2.sigmoid()).pow(2), x.weight);
}

at::Tensor ForegroundDistanceConsistency(const LossInputs& x) {
  const at::Tensor inside = x.pred2.tanh();
  const at::Tensor positive = -at::log_sigmoid(x.pred) * inside.clamp_min(0);
  const at::Tensor negative = -at::log_sigmoid(-x.pred) * -inside.clamp_max(0);
  return MeanWithMask(positive + negative, x.weight);
}

at::Tensor GAN(const LossInputs& x) {
  return at::mse_loss(x.pred, at::ones({}, x.pred.options()).expand_as(x.pred));
}

at::Tensor GeneralizedDice(const LossInputs& x) {
  const at::Tensor p = x.pred.sigmoid();
  const std::vector<int64_t> space = Space(p);
  const at::Tensor common = (p * x.target).sum(space);
  const at::Tensor volume = x.target.sum(space);
  const at::Tensor weight = volume.square().reciprocal();
  const at::Tensor nominator = 2 * (common * weight).sum(1) + kSmooth;
  return (1 - nominator / (((p.sum(space) + volume) * weight).sum(1) + kSmooth)).mean();
}

at::Tensor L1(const LossInputs& x) { return at::l1_loss(x.pred, x.target); }

at::Tensor MSE(const LossInputs& x) { return at::mse_loss(x.pred, x.target); }

at::Tensor Malis(const LossInputs& x) {
  const at::Tensor values = x.pred.detach().contiguous();
  const at::Tensor positive = x.target.gt(0.5).contiguous();
  const at::Tensor labels = x.gt_seg.to(at::kInt).contiguous();
  at::Tensor weights = at::empty_like(values);
  const int64_t voxels = labels.numel() / labels.size(0);
  const auto span = [&](const auto* data, int64_t size, int64_t sample) {
    return absl::MakeConstSpan(data + sample * size, size);
  };
  const int64_t edges = values.size(1) * voxels;
  const auto* const ids = reinterpret_cast<const uint32_t*>(labels.const_data_ptr<int32_t>());
  const auto* const bits = static_cast<const uint8_t*>(positive.const_data_ptr());
  for (int64_t b = 0; b < values.size(0); ++b) {
    const std::vector<Offset> offsets = {{-1, 0, 0}, {0, -1, 0}, {0, 0, -1}};
    const std::vector<float> counts = ReferenceMalisWeights(
        {.shape = {.z = values.size(2), .y = values.size(3), .x = values.size(4)},
         .neighborhood = offsets,
         .affinity = span(values.const_data_ptr<float>(), edges, b),
         .positive = span(bits, edges, b),
         .known = {},
         .labels = span(ids, voxels, b)});
    std::copy(counts.begin(), counts.end(), weights.mutable_data_ptr<float>() + b * edges);
  }
  return (weights * (x.pred - x.target).pow(2)).sum();
}

at::Tensor NonOverlap(const LossInputs& x) {
  return (x.pred.select(1, 0).sigmoid() * x.pred.select(1, 1).sigmoid() *
          x.pred.select(1, 2).detach().sigmoid())
      .mean();
}

at::Tensor PerChannelBCE(const LossInputs& x) { return BalancedBce(x.pred, x.target, x.weight); }

at::Tensor Scnp(const LossInputs& x) {
  constexpr double kNever = 1e9;
  const at::Tensor foreground = x.target.gt(0.5).to(at::kFloat);
  const at::Tensor background = 1 - foreground;
  const at::Tensor least = MinPool(x.pred * foreground + kNever * background, 3, 1);
  const at::Tensor greatest = at::max_pool3d(x.pred * background - kNever * foreground, 3, 1, 1);
  return BalancedBce(least * foreground + greatest * background, x.target, x.weight);
}

at::Tensor SmoothL1(const LossInputs& x) {
  return MaskedMean(at::smooth_l1_loss(x.pred, x.target, at::Reduction::None), x.weight);
}

at::Tensor SoftClDice(const LossInputs& x) {
  const at::Tensor p = x.pred.sigmoid().narrow(1, 1, 1);
  const at::Tensor t = x.target.narrow(1, 1, 1);
  const std::vector<int64_t> space = Space(p);
  const at::Tensor of_p = Skeleton(p);
  const at::Tensor of_t = Skeleton(t);
  const at::Tensor precision = ((of_p * t).sum(space) + 1) / (of_p.sum(space) + 1);
  const at::Tensor sensitivity = ((of_t * p).sum(space) + 1) / (of_t.sum(space) + 1);
  return (1 - 2 * precision * sensitivity / (precision + sensitivity + 1)).mean();
}

at::Tensor Tversky(const LossInputs& x) {
  const at::Tensor p = x.pred.sigmoid();
  const std::vector<int64_t> space = Space(p);
  const at::Tensor common = (p * x.target).sum(space);
  const at::Tensor false_positives = (p * (1 - x.target)).sum(space);
  const at::Tensor false_negatives = ((1 - p) * x.target).sum(space);
  return (1 -
          (common + kSmooth) / (common + 0.5 * false_positives + 0.5 * false_negatives + kSmooth))
      .mean();
}

at::Tensor WeightedBCE(const LossInputs& x) {
  return MaskedMean(
      at::binary_cross_entropy_with_logits(x.pred, x.target, {}, {}, at::Reduction::None),
      x.weight);
}

at::Tensor WeightedMAE(const LossInputs& x) {
  return MaskedMean((x.pred - x.target).abs(), x.weight);
}

at::Tensor WeightedMSE(const LossInputs& x) {
  return MaskedMean((x.pred - x.target).pow(2), x.weight);
}

at::Tensor WeightedMSETanh(const LossInputs& x) {
  return MaskedMean((x.pred.tanh() - x.target).pow(2), x.weight);
}

}  // namespace lossd::eager
