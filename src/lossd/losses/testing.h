#ifndef LOSSD_LOSSES_TESTING_H_
#define LOSSD_LOSSES_TESTING_H_

#include <gmock/gmock.h>
#include <torch/types.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lossd/losses/loss.h"

// What the tests of losses share.
namespace lossd::testing {

// A loss from LossOptions in protobuf's text format.
absl::StatusOr<std::unique_ptr<const Loss>> TryMakeLoss(const std::string& options);
// The same; fails the test and aborts when the options are wrong.
std::unique_ptr<const Loss> MakeLoss(const std::string& options);

// Computes with two threads; fails the test and aborts on an error.
ValueAndGradient Compute(const Loss& loss, const LossInputs& inputs);
ValueAndGradient Compute(const std::string& options, const LossInputs& inputs);
// The value of a scalar loss.
double Value(const std::string& options, const LossInputs& inputs);

// The error of a computation that must fail, as "field: …".
std::string ErrorOf(const std::string& options, const LossInputs& inputs);
// The error of options that must be wrong.
std::string ErrorOf(const std::string& options);

// A float32 tensor of the given numbers.
at::Tensor Floats(const std::vector<float>& values, at::IntArrayRef shape);

// Deterministic samples: of the normal distribution × scale, and of 0 and 1.
at::Tensor Normal(at::IntArrayRef shape, int seed, double scale = 2);
at::Tensor Coins(at::IntArrayRef shape, int seed, double probability = 0.5);

// Expects the gradient (and gradient2) in float64 to equal central differences of the value.
void ExpectGradientOfValue(const Loss& loss, LossInputs inputs);

// Expects the results for float32 predictions to equal those of the LibTorch expression in float64,
// and those for half types to equal those for the same numbers in float32.
void ExpectSameInEveryType(const Loss& loss, const LossInputs& inputs);

}  // namespace lossd::testing

#endif  // LOSSD_LOSSES_TESTING_H_
