#ifndef BENCH_EAGER_LOSSES_H_
#define BENCH_EAGER_LOSSES_H_

#include <ATen/ATen.h>

#include "lossd/losses/loss.h"

// The losses as LibTorch expressions, whole tensor by whole tensor, as one writes them in Python
// from their description: what lossd's are measured against. With the options that losses_bench
// gives.
namespace lossd::eager {

at::Tensor BCEWithLogits(const LossInputs& inputs);
at::Tensor BinaryRegularization(const LossInputs& inputs);
at::Tensor ContourDistanceConsistency(const LossInputs& inputs);
at::Tensor CrossEntropy(const LossInputs& inputs);
at::Tensor DiceCE(const LossInputs& inputs);       // Softmax, class indices.
at::Tensor DiceFocal(const LossInputs& inputs);    // Sigmoid.
at::Tensor Dice(const LossInputs& inputs);         // Sigmoid.
at::Tensor DiceSoftmax(const LossInputs& inputs);  // Softmax, class indices.
at::Tensor Focal(const LossInputs& inputs);
at::Tensor FocalSoftmax(const LossInputs& inputs);  // Class indices.
at::Tensor ForegroundContourConsistency(const LossInputs& inputs);
at::Tensor ForegroundDistanceConsistency(const LossInputs& inputs);
at::Tensor GAN(const LossInputs& inputs);
at::Tensor GeneralizedDice(const LossInputs& inputs);  // Sigmoid.
at::Tensor L1(const LossInputs& inputs);
at::Tensor MSE(const LossInputs& inputs);
at::Tensor Malis(const LossInputs& inputs);  // Of affinities; weights as published.
at::Tensor NonOverlap(const LossInputs& inputs);
at::Tensor PerChannelBCE(const LossInputs& inputs);
at::Tensor Scnp(const LossInputs& inputs);
at::Tensor SmoothL1(const LossInputs& inputs);
at::Tensor SoftClDice(const LossInputs& inputs);  // Sigmoid.
at::Tensor Tversky(const LossInputs& inputs);     // Sigmoid.
at::Tensor WeightedBCE(const LossInputs& inputs);
at::Tensor WeightedMAE(const LossInputs& inputs);
at::Tensor WeightedMSE(const LossInputs& inputs);
at::Tensor WeightedMSETanh(const LossInputs& inputs);

}  // namespace lossd::eager

#endif  // BENCH_EAGER_LOSSES_H_
