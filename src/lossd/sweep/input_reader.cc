#include "lossd/sweep/input_reader.h"

#include <algorithm>
#include <array>

#include "lossd/sweep/kernels.h"
#include "lossd/sweep/slabs.h"

namespace lossd {
namespace {

// A weight of ones where there is none, but the masks need one.
at::Tensor WeightOf(const LossInputs& inputs) {
  if (inputs.weight.defined()) return inputs.weight;
  const bool known_needs_one = inputs.known.defined() && !inputs.blank.has_value();
  return known_needs_one || inputs.class_weights.has_value() ? at::ones({}, at::kFloat)
                                                             : at::Tensor();
}

// Computed on as doubles or else as floats.
at::ScalarType WideType(const at::Tensor& prediction) {
  return prediction.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
}

at::Tensor KeepKnown(const at::Tensor& known, const at::Tensor& values, double otherwise,
                     const Context& context) {
  return MapSlabs(known, values, values.scalar_type(), context,
                  [&](const at::Tensor& of_known, const at::Tensor& of_values) {
                    return at::where(of_known, of_values,
                                     at::full({}, otherwise, of_values.options()));
                  });
}

}  // namespace

KnownElements::KnownElements(const at::Tensor& known, at::IntArrayRef sizes) {
  if (!known.defined()) return;
  known_ = SpatiallyDense(known, sizes);
  data_ = known_.const_data_ptr<bool>();
  voxel_stride_ = VoxelStride(known_);
}

const float* KnownElements::Keep(const BlockRange& range, const float* elements, float otherwise,
                                 float* out) const {
  if (data_ == nullptr || elements == nullptr) return elements;
  const bool* const known = data_ + range.sample * known_.stride(0) +
                            range.channel * known_.stride(1) + range.begin * voxel_stride_;
  if (voxel_stride_ == 1) {
    KeepBlock(elements, known, otherwise, range.size, out);
    return out;
  }
  if (*known) return elements;
  std::fill_n(out, range.size, otherwise);
  return out;
}

InputReader::InputReader(const LossInputs& inputs)
    : known_(inputs.known, inputs.pred.sizes()),
      blank_(inputs.blank),
      pred_(inputs.pred, inputs.pred.sizes(), inputs.clamp),
      target_(inputs.target, inputs.pred.sizes()),
      has_weight_(WeightOf(inputs).defined()),
      weight_(WeightOf(inputs), inputs.pred.sizes()),
      class_weights_(inputs.class_weights) {}

const float* InputReader::Pred(const BlockRange& range, float* scratch) const {
  const float* const pred = pred_.Read(range, scratch);
  return blank_.has_value() ? known_.Keep(range, pred, *blank_, scratch) : pred;
}

const float* InputReader::Target(const BlockRange& range, float* scratch) const {
  return known_.Keep(range, target_.Read(range, scratch), 0, scratch);
}

const float* InputReader::Weight(const BlockRange& range, float* scratch) const {
  const float* weight = weight_.Read(range, scratch);
  if (class_weights_.has_value()) weight = OfClasses(range, weight, scratch);
  return known_.Keep(range, weight, 0, scratch);
}

const float* InputReader::OfClasses(const BlockRange& range, const float* weight,
                                    float* scratch) const {
  // Ranges may be longer than a block.
  std::array<float, kBlockSize> target;
  for (int64_t done = 0; done < range.size; done += kBlockSize) {
    BlockRange part = range;
    part.begin += done;
    part.size = std::min(range.size - done, kBlockSize);
    ClassWeightBlock(weight + done, target_.Read(part, target.data()),
                     static_cast<float>(class_weights_->foreground),
                     static_cast<float>(class_weights_->background), part.size, scratch + done);
  }
  return scratch;
}

void InputReader::FinishGradient(const BlockRange& range, float* gradient) const {
  if (blank_.has_value()) known_.Keep(range, gradient, 0, gradient);
}

bool HasMasks(const LossInputs& inputs) {
  return inputs.known.defined() || inputs.class_weights.has_value();
}

LossInputs ApplyMasks(const LossInputs& inputs, const Context& context) {
  LossInputs applied = inputs;
  applied.class_weights.reset();
  applied.known.reset();
  applied.blank.reset();
  if (inputs.class_weights.has_value()) {
    applied.weight =
        MapSlabs(inputs.target, inputs.weight, at::kFloat, context,
                 [&](const at::Tensor& target, const at::Tensor& weight) {
                   return Product(ClassWeightMap(target, *inputs.class_weights), weight);
                 });
  }
  if (!inputs.known.defined()) return applied;
  applied.target = KeepKnown(inputs.known, inputs.target, 0, context);
  if (inputs.blank.has_value()) {
    applied.pred = KeepKnown(inputs.known, WidenAndClamp(inputs.pred, inputs.clamp, context),
                             *inputs.blank, context);
    applied.clamp.reset();  // It does not cut what is blank.
  } else {
    applied.weight =
        applied.weight.defined()
            ? KeepKnown(inputs.known, ToType(applied.weight, at::kFloat, context), 0, context)
            : inputs.known;
  }
  return applied;
}

at::Tensor Product(const at::Tensor& a, const at::Tensor& b) {
  if (!a.defined()) return b;
  return b.defined() ? a * b : a;
}

at::Tensor ClassWeightMap(const at::Tensor& target, const ClassWeights& weights) {
  at::Tensor map = at::full_like(target, weights.background, target.options().dtype(at::kFloat),
                                 at::MemoryFormat::Contiguous);
  map.masked_fill_(target > 0, weights.foreground);
  return map;
}

at::Tensor WidenAndClamp(const at::Tensor& prediction, const std::optional<ClampRange>& clamp) {
  const at::Tensor widened = prediction.to(WideType(prediction));
  return clamp.has_value() ? widened.clamp(clamp->min, clamp->max) : widened;
}

at::Tensor WidenAndClamp(const at::Tensor& prediction, const std::optional<ClampRange>& clamp,
                         const Context& context) {
  if (!clamp.has_value()) return ToType(prediction, WideType(prediction), context);
  return MapSlabs(prediction, {}, WideType(prediction), context,
                  [&](const at::Tensor& part, const at::Tensor& /*none*/) {
                    return WidenAndClamp(part, clamp);
                  });
}

}  // namespace lossd
