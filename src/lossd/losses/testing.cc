#include "lossd/losses/testing.h"

#include <ATen/CPUGeneratorImpl.h>

#include <cmath>
#include <cstdlib>
#include <utility>

#include "absl/status/status.h"
#include "lossd/tensor/dtype_name.h"

namespace lossd::testing {
namespace {

// Ends the program: there is nothing to go on with.
void Require(bool holds, const std::string& message) {
  if (holds) return;
  ADD_FAILURE() << message;
  std::abort();
}

at::Tensor AsDouble(const at::Tensor& tensor) {
  return tensor.defined() ? tensor.to(at::kDouble) : tensor;
}

void ExpectClose(const at::Tensor& actual, const at::Tensor& expected, double rtol,
                 absl::string_view what) {
  ASSERT_EQ(actual.sizes(), expected.sizes()) << what;
  const double largest = expected.numel() == 0 ? 0 : expected.abs().max().item<double>();
  EXPECT_TRUE(
      at::allclose(actual.to(at::kDouble), expected.to(at::kDouble), rtol, 1e-6 * largest + 1e-12))
      << what << ": largest difference "
      << (actual.to(at::kDouble) - expected.to(at::kDouble)).abs().max().item<double>() << " of "
      << largest;
}

at::Tensor ValueOf(const Loss& loss, const LossInputs& inputs) {
  TaskPool pool(2);
  const auto result = loss.Compute(inputs, pool);
  Require(result.ok(), result.status().ToString());
  return result->value;
}

// A place for a gradient, full of what must not be in it.
GradientInto PlaceFor(const at::Tensor& prediction) {
  if (!prediction.defined()) return {};
  const bool wide = prediction.scalar_type() == at::kDouble;
  return {.into = at::full(prediction.sizes(), std::nan(""), wide ? at::kDouble : at::kFloat)};
}

// Central differences of the summed value with respect to `variable`, one of the inputs' tensors.
at::Tensor CentralDifferences(const Loss& loss, LossInputs inputs,
                              at::Tensor LossInputs::* variable) {
  constexpr double kStep = 1e-6;
  const at::Tensor point = inputs.*variable;
  at::Tensor differences = at::zeros_like(point, at::MemoryFormat::Contiguous);
  for (int64_t i = 0; i < point.numel(); ++i) {
    const auto value_at = [&](double step) {
      at::Tensor moved = point.clone(at::MemoryFormat::Contiguous);
      moved.view(-1)[i] += step;
      inputs.*variable = moved;
      return ValueOf(loss, inputs).sum().item<double>();
    };
    differences.view(-1)[i] = (value_at(kStep) - value_at(-kStep)) / (2 * kStep);
  }
  return differences;
}

}  // namespace

std::shared_ptr<const Loss> MakeLoss(const AnyLoss& loss) {
  for (const absl::Status& mistake : loss.Check()) Require(false, mistake.ToString());
  return loss.Make();
}

ValueAndGradient Compute(const Loss& loss, const LossInputs& inputs) {
  LossInputs with_gradient = inputs;
  with_gradient.gradient = PlaceFor(inputs.pred);
  with_gradient.gradient2 = PlaceFor(inputs.pred2);
  return {.value = ValueOf(loss, with_gradient),
          .gradient = with_gradient.gradient.into,
          .gradient2 = with_gradient.gradient2.into};
}

ValueAndGradient Compute(const AnyLoss& loss, const LossInputs& inputs) {
  return Compute(*MakeLoss(loss), inputs);
}

double Value(const AnyLoss& loss, const LossInputs& inputs) {
  return Compute(loss, inputs).value.item<double>();
}

std::string ErrorOf(const AnyLoss& loss, const LossInputs& inputs) {
  TaskPool pool(1);
  const auto result = MakeLoss(loss)->Compute(inputs, pool);
  return result.ok() ? "no error" : std::string(result.status().message());
}

std::string ErrorOf(const AnyLoss& loss) {
  const std::vector<absl::Status> mistakes = loss.Check();
  return mistakes.empty() ? "no error" : std::string(mistakes.front().message());
}

at::Tensor Floats(const std::vector<float>& values, at::IntArrayRef shape) {
  return at::tensor(values).view(shape);
}

at::Tensor Normal(at::IntArrayRef shape, int seed, double scale) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::randn(shape, generator, at::kFloat) * scale;
}

at::Tensor Coins(at::IntArrayRef shape, int seed, double probability) {
  auto generator = at::make_generator<at::CPUGeneratorImpl>(seed);
  return at::rand(shape, generator, at::kFloat).lt(probability).to(at::kFloat);
}

LossInputs InputsOf(const LossTraits& loss, at::IntArrayRef shape) {
  LossInputs inputs = {.pred = Normal(shape, 1)};
  if (loss.call_kind == CallKind::kPredPred) inputs.pred2 = Normal(shape, 2);
  if (loss.name == "GANLoss") {
    inputs.target = at::ones({1});
  } else if (loss.target_kind == TargetKind::kClassIndex) {
    inputs.target = Coins({shape[0], 1, shape[2], shape[3], shape[4]}, 3).to(at::kLong);
  } else if (loss.target_kind == TargetKind::kDense) {
    inputs.target = Coins(shape, 3);
  }
  return inputs;
}

void ExpectGradientOfValue(const Loss& loss, LossInputs inputs) {
  inputs.pred = AsDouble(inputs.pred);
  inputs.pred2 = AsDouble(inputs.pred2);
  const ValueAndGradient result = Compute(loss, inputs);
  ASSERT_EQ(result.gradient.scalar_type(), at::kDouble);
  ExpectClose(result.gradient, CentralDifferences(loss, inputs, &LossInputs::pred), 1e-5,
              "gradient");
  if (inputs.pred2.defined()) {
    ExpectClose(result.gradient2, CentralDifferences(loss, inputs, &LossInputs::pred2), 1e-5,
                "gradient2");
  }
}

void ExpectSameInEveryType(const Loss& loss, const LossInputs& inputs) {
  const auto in_type = [&](at::ScalarType type, at::ScalarType rounded) {
    LossInputs typed = inputs;
    typed.pred = inputs.pred.to(rounded).to(type);
    if (inputs.pred2.defined()) typed.pred2 = inputs.pred2.to(rounded).to(type);
    return Compute(loss, typed);
  };
  const auto expect_same = [&](const ValueAndGradient& actual, const ValueAndGradient& expected,
                               absl::string_view what) {
    ExpectClose(actual.value, expected.value, 1e-5, what);
    ExpectClose(actual.gradient, expected.gradient, 1e-4, what);
    if (inputs.pred2.defined()) ExpectClose(actual.gradient2, expected.gradient2, 1e-4, what);
  };
  for (const at::ScalarType type : {at::kFloat, at::kHalf, at::kBFloat16}) {
    const ValueAndGradient result = in_type(type, type);
    EXPECT_EQ(result.value.scalar_type(), at::kFloat);
    EXPECT_EQ(result.gradient.scalar_type(), at::kFloat);
    expect_same(result, in_type(at::kDouble, type), DTypeName(type));
  }
}

}  // namespace lossd::testing
