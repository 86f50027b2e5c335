#include "lossd/losses/overlap/tversky.h"

#include <gmock/gmock.h>

#include "lossd/losses/testing.h"

namespace lossd::testing {
namespace {

using ::testing::StartsWith;

TEST(TverskyLossTest, Values) {
  // 1 true positive, 2 false positives, 1 false negative.
  const LossInputs inputs = {.pred = Floats({1, 1, 1, 0}, {1, 1, 2, 2}),
                             .target = Floats({1, 0, 0, 1}, {1, 1, 2, 2})};
  EXPECT_NEAR(Value(Tversky(), inputs), 1 - 1 / 2.5, 1e-4);
  EXPECT_NEAR(Value(Tversky{.alpha = 0.25, .beta = 2}, inputs), 1 - 1 / 3.5, 1e-4);
  EXPECT_NEAR(Value(Tversky{.smooth_nr = 1, .smooth_dr = 1.5, .soft_label = true}, inputs),
              1 - 2 / 4.0, 1e-4);
  EXPECT_EQ(Compute(Tversky{.reduction = Reduction::kNone}, inputs).value.sizes(),
            at::IntArrayRef({1, 1}));
}

TEST(TverskyLossTest, GradientIsThatOfTheValue) {
  for (const auto& options :
       {Tversky{.sigmoid = true, .alpha = 0.3},
        Tversky{.softmax = true, .beta = 0.7, .batch = true},
        Tversky{.include_background = false, .sigmoid = true, .soft_label = true}}) {
    const LossInputs inputs = {.pred = Normal({2, 3, 2, 2, 3}, 1),
                               .target = Coins({2, 3, 2, 2, 3}, 2)};
    ExpectGradientOfValue(*MakeLoss(options), inputs);
    ExpectSameInEveryType(*MakeLoss(options), inputs);
  }
}

TEST(TverskyLossTest, MistakesAreNamed) {
  EXPECT_THAT(ErrorOf(Tversky{.sigmoid = true, .softmax = true}), StartsWith("softmax"));
  EXPECT_THAT(ErrorOf(Tversky{.alpha = INFINITY}), StartsWith("alpha: got inf"));
}

}  // namespace
}  // namespace lossd::testing
