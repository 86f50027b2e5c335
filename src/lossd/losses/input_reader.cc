#include "lossd/losses/input_reader.h"

#include <algorithm>

#include "lossd/losses/kernels.h"

namespace lossd {
namespace {

// A weight of ones where there is none, but `known` needs one.
at::Tensor WeightOf(const LossInputs& inputs) {
  if (inputs.weight.defined() || !inputs.known.defined() || inputs.blank.has_value()) {
    return inputs.weight;
  }
  return at::ones({}, at::kFloat);
}

at::Tensor KeepKnown(const at::Tensor& known, const at::Tensor& values, double otherwise) {
  return at::where(known, values, at::full({}, otherwise, values.options()));
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
      pred_(inputs.pred, inputs.pred.sizes()),
      target_(inputs.target, inputs.pred.sizes()),
      has_weight_(WeightOf(inputs).defined()),
      weight_(WeightOf(inputs), inputs.pred.sizes()) {}

const float* InputReader::Pred(const BlockRange& range, float* scratch) const {
  const float* const pred = pred_.Read(range, scratch);
  return blank_.has_value() ? known_.Keep(range, pred, *blank_, scratch) : pred;
}

const float* InputReader::Target(const BlockRange& range, float* scratch) const {
  return known_.Keep(range, target_.Read(range, scratch), 0, scratch);
}

const float* InputReader::Weight(const BlockRange& range, float* scratch) const {
  return known_.Keep(range, weight_.Read(range, scratch), 0, scratch);
}

void InputReader::FinishGradient(const BlockRange& range, float* gradient) const {
  if (blank_.has_value()) known_.Keep(range, gradient, 0, gradient);
}

LossInputs ApplyKnown(const LossInputs& inputs) {
  if (!inputs.known.defined()) return inputs;
  LossInputs applied = inputs;
  applied.known.reset();
  applied.blank.reset();
  applied.target = KeepKnown(inputs.known, inputs.target, 0);
  if (inputs.blank.has_value()) {
    applied.pred = KeepKnown(inputs.known, inputs.pred.to(at::kFloat), *inputs.blank);
  } else {
    applied.weight = inputs.weight.defined()
                         ? KeepKnown(inputs.known, inputs.weight.to(at::kFloat), 0)
                         : inputs.known;
  }
  return applied;
}

}  // namespace lossd
