#ifndef LOSSD_LOSSES_TESTING_H_
#define LOSSD_LOSSES_TESTING_H_

#include <ATen/ATen.h>
#include <gmock/gmock.h>

#include <memory>
#include <ostream>
#include <string>
#include <utility>
#include <vector>

#include "lossd/losses/configured.h"
#include "lossd/losses/loss.h"
#include "lossd/losses/loss_config.h"

// What the tests of losses share.
namespace lossd::testing {

// Any loss of list.h with its options.
class AnyLoss : public LossConfig {
 public:
  template <typename T>
    requires requires { T::kTraits; }
  // NOLINTNEXTLINE(google-explicit-constructor): any loss will do.
  AnyLoss(T loss) : LossConfig(Configured(std::move(loss))) {}
  AnyLoss(LossConfig loss) : LossConfig(std::move(loss)) {}  // NOLINT(google-explicit-constructor)

  friend void PrintTo(const AnyLoss& loss, std::ostream* out) { *out << loss.traits().name; }
};

// The loss; fails the test and aborts when the options are wrong.
std::shared_ptr<const Loss> MakeLoss(const AnyLoss& loss);

struct ValueAndGradient {
  at::Tensor value;
  // d value / d pred, and pred2; float64 for predictions that are, else float32.
  at::Tensor gradient;
  at::Tensor gradient2;
};

// Computes with two threads; fails the test and aborts on an error.
ValueAndGradient Compute(const Loss& loss, const LossInputs& inputs);
ValueAndGradient Compute(const AnyLoss& loss, const LossInputs& inputs);
// The value of a scalar loss.
double Value(const AnyLoss& loss, const LossInputs& inputs);

// The error of a computation that must fail, as "field: …".
std::string ErrorOf(const AnyLoss& loss, const LossInputs& inputs);
// The first error of options that must be wrong.
std::string ErrorOf(const AnyLoss& loss);

// A float32 tensor of the given numbers.
at::Tensor Floats(const std::vector<float>& values, at::IntArrayRef shape);

// Deterministic samples: of the normal distribution × scale, and of 0 and 1.
at::Tensor Normal(at::IntArrayRef shape, int seed, double scale = 2);
at::Tensor Coins(at::IntArrayRef shape, int seed, double probability = 0.5);

// Random inputs of the kind that a loss takes, for predictions [B, C, Z, Y, X] of that shape: of
// targets as many are 1 as 0. No weight.
LossInputs InputsOf(const LossTraits& loss, at::IntArrayRef shape);

// Expects the gradient (and gradient2) in float64 to equal central differences of the value.
void ExpectGradientOfValue(const Loss& loss, LossInputs inputs);

// Expects the results for float32 predictions to equal those of the LibTorch expression in float64,
// and those for half types to equal those for the same numbers in float32.
void ExpectSameInEveryType(const Loss& loss, const LossInputs& inputs);

}  // namespace lossd::testing

#endif  // LOSSD_LOSSES_TESTING_H_
