#include <gmock/gmock.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "lossd/base/testing.h"
#include "lossd/losses/overlap/soft_cldice.h"
#include "lossd/losses/registry.h"
#include "lossd/losses/regularisers/non_overlap_regularization.h"
#include "lossd/losses/testing.h"

// What holds of every loss in the registry, nearly always with its defaults.
namespace lossd::testing {
namespace {

class EveryLossTest : public ::testing::TestWithParam<LossConfig> {
 protected:
  const LossTraits& Traits() const { return GetParam().traits(); }

  std::shared_ptr<const Loss> Make() const {
    // What is held constant has no gradient.
    if (Traits().name == NonOverlapRegularization::kTraits.name) {
      return MakeLoss(NonOverlapRegularization{.cleft_masked = false});
    }
    if (Traits().name == SoftClDice::kTraits.name) return MakeLoss(SoftClDice{.sigmoid = true});
    return MakeLoss(GetParam());
  }

  LossInputs Inputs(at::IntArrayRef shape, bool weighted) const {
    LossInputs inputs = InputsOf(Traits(), shape);
    if (weighted) {
      inputs.weight = Coins({shape[0], 1, shape[2], shape[3], shape[4]}, 4, 0.8) * 1.5;
    }
    return inputs;
  }

  bool TakesWeight() const { return Traits().spatial_weight_arg != SpatialWeightArg::kNone; }
};

TEST_P(EveryLossTest, GradientIsThatOfTheValueInFloat64) {
  // Its weights are computed in float32; MalisLossTest has its gradient.
  if (Traits().name == "MalisLoss") return;
  ExpectGradientOfValue(*Make(), Inputs({2, 3, 3, 4, 3}, false));
  if (TakesWeight()) ExpectGradientOfValue(*Make(), Inputs({2, 3, 3, 4, 3}, true));
}

TEST_P(EveryLossTest, StopsWhereverItIsWhenItIsCancelled) {
  const auto loss = Make();
  const LossInputs inputs = Inputs({2, 3, 20, 17, 33}, TakesWeight());
  for (const int threads : {1, 3}) {
    TaskPool pool(threads);
    TaskGroup group(pool);
    const CancelledAtCheck never;
    LossInputs with_gradient = inputs;
    const auto place_gradient = [&] {
      with_gradient.gradient.into = at::empty(inputs.pred.sizes());
      if (inputs.pred2.defined()) with_gradient.gradient2.into = at::empty(inputs.pred.sizes());
      return with_gradient.gradient.into;
    };
    const at::Tensor expected_gradient = place_gradient();
    const auto expected = loss->Compute(with_gradient, Context(group, never));
    ASSERT_TRUE(expected.ok()) << expected.status();
    const at::Tensor gradient = place_gradient();
    const int64_t step = std::max<int64_t>(1, never.checks() / 40);
    for (int64_t check = 1; check <= never.checks(); check += step) {
      const CancelledAtCheck cancellation(check);
      const Context context(group, cancellation);
      // Whatever else it may return, nothing has tripped over what was half done.
      EXPECT_FALSE(absl::IsInternal(loss->Compute(with_gradient, context).status())) << check;
      EXPECT_TRUE(context.Cancelled());
    }
    const auto again = loss->Compute(with_gradient, Context(group, never));
    ASSERT_TRUE(again.ok()) << again.status();
    EXPECT_TRUE(at::equal(again->value, expected->value));
    EXPECT_TRUE(at::equal(gradient, expected_gradient));
  }
}

// Several blocks, slabs and rows that fill no vector.
TEST_P(EveryLossTest, WhatIsComputedInPartsEqualsTheWholeExpression) {
  if (Traits().name == "MalisLoss") return;
  ExpectSameInEveryType(*Make(), Inputs({2, 3, 20, 17, 33}, false));
  if (TakesWeight()) ExpectSameInEveryType(*Make(), Inputs({2, 3, 20, 17, 33}, true));
}

// Into channels among others, times a factor, over or beside what is there, in every type.
TEST_P(EveryLossTest, WritesItsGradientWhereItIsWanted) {
  if (Traits().name == "GANLoss") return;
  // No weight of these is 1, which MALIS takes for "known".
  const bool weighted = TakesWeight() && Traits().name != "MalisLoss";
  const LossInputs inputs = Inputs({2, 3, 20, 17, 33}, weighted);
  const ValueAndGradient expected = Compute(*Make(), inputs);
  TaskPool pool(2);
  for (const at::ScalarType type : {at::kFloat, at::kHalf, at::kBFloat16}) {
    for (const bool add : {false, true}) {
      const double scale = 0.5 / expected.gradient.abs().max().item<double>();
      const at::Tensor all = at::ones({2, 5, 20, 17, 33}, type);
      LossInputs placed = inputs;
      placed.gradient = {.into = all.narrow(1, 1, 3), .factor = scale, .add = add};
      const at::Tensor of_pred2 = at::empty(inputs.pred.sizes());
      if (inputs.pred2.defined()) placed.gradient2 = {.into = of_pred2};
      const auto result = Make()->Compute(placed, pool);
      ASSERT_TRUE(result.ok()) << result.status();
      EXPECT_TRUE(result->finite);
      EXPECT_TRUE(at::equal(result->value, expected.value));
      at::Tensor wanted = at::ones({2, 5, 20, 17, 33});
      wanted.narrow(1, 1, 3).mul_(add ? 1 : 0).add_(expected.gradient, scale);
      const double tolerance = type == at::kFloat ? 1e-6 : 1e-2;
      EXPECT_TRUE(at::allclose(all.to(at::kFloat), wanted, tolerance, tolerance))
          << c10::toString(type) << add;
      if (inputs.pred2.defined()) {
        EXPECT_TRUE(at::allclose(of_pred2, expected.gradient2));
      }
    }
  }
}

// Sweeps apply a mask as they read, other forms in advance.
TEST_P(EveryLossTest, CountsNothingWhereTheTargetIsUnknown) {
  // The target of GANLoss is no map.
  if (Traits().call_kind != CallKind::kPredTarget || Traits().name == "GANLoss") return;
  constexpr float kBlank = -3;
  // What a mask does: to the prediction of a loss without a weight, or as the weight.
  enum class Mask { kOfPrediction, kAsWeight, kTimesWeight };
  for (const bool one_channel : {true, false}) {
    for (const Mask mask : {Mask::kOfPrediction, Mask::kAsWeight, Mask::kTimesWeight}) {
      if (mask != Mask::kOfPrediction && !TakesWeight()) continue;
      LossInputs inputs = Inputs({2, 3, 20, 17, 33}, mask == Mask::kTimesWeight);
      const bool of_classes = Traits().target_kind == TargetKind::kClassIndex;
      inputs.known = Coins({2, one_channel || of_classes ? 1 : 3, 20, 17, 33}, 5).to(at::kBool);
      LossInputs applied = inputs;
      applied.target = inputs.target * inputs.known;
      if (mask == Mask::kOfPrediction) {
        inputs.blank = kBlank;
        applied.pred = at::where(inputs.known, inputs.pred, at::full({}, kBlank));
      } else {
        applied.weight = inputs.known * (inputs.weight.defined() ? inputs.weight : at::ones({}));
      }
      // What stands there does not matter.
      if (!of_classes) inputs.target.masked_fill_(inputs.known.logical_not(), 7);
      applied.known.reset();
      ValueAndGradient expected = Compute(*Make(), applied);
      if (mask == Mask::kOfPrediction) {
        expected.gradient.masked_fill_(inputs.known.logical_not(), 0);
      }
      const ValueAndGradient actual = Compute(*Make(), inputs);
      EXPECT_TRUE(at::equal(actual.value, expected.value)) << actual.value << expected.value;
      EXPECT_TRUE(at::equal(actual.gradient, expected.gradient));
    }
  }
}

// Likewise.
TEST_P(EveryLossTest, ClampsPredictionsAndWeighsClasses) {
  if (Traits().name == "GANLoss") return;
  for (const bool weighted : {true, false}) {
    if (weighted && !TakesWeight()) continue;
    LossInputs inputs = Inputs({2, 3, 20, 17, 33}, weighted);
    inputs.clamp = ClampRange{-1.25, 1.5};
    LossInputs applied = inputs;
    applied.clamp.reset();
    applied.pred = inputs.pred.clamp(-1.25, 1.5);
    if (inputs.pred2.defined()) applied.pred2 = inputs.pred2.clamp(-1.25, 1.5);
    if (Traits().spatial_weight_arg == SpatialWeightArg::kWeight) {
      inputs.class_weights = ClassWeights{.foreground = 1.7, .background = 0.6};
      applied.weight = at::where(inputs.target > 0, at::full({}, 1.7F), at::full({}, 0.6F)) *
                       (weighted ? inputs.weight : at::ones({}));
    }
    const ValueAndGradient expected = Compute(*Make(), applied);
    const ValueAndGradient actual = Compute(*Make(), inputs);
    // LibTorch computes the ends of rows with other instructions, and where rows end depends on
    // whether it was handed a copy.
    const auto same = [](const at::Tensor& a, const at::Tensor& b) {
      return at::allclose(a, b, /*rtol=*/1e-6, /*atol=*/1e-6 * b.abs().max().item<double>());
    };
    EXPECT_TRUE(same(actual.value, expected.value)) << actual.value << expected.value;
    EXPECT_TRUE(same(actual.gradient, expected.gradient));
    if (inputs.pred2.defined()) {
      EXPECT_TRUE(same(actual.gradient2, expected.gradient2));
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, EveryLossTest, ::testing::ValuesIn(AllLosses()),
                         [](const auto& test) { return std::string(test.param.traits().name); });

}  // namespace
}  // namespace lossd::testing
