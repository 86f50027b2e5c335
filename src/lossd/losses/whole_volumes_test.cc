// What losses do with whole volumes before and after they sweep over blocks asks whether to go on,
// too: as often as there are slabs (slabs.h).

#include <gtest/gtest.h>

#include "lossd/base/testing.h"
#include "lossd/losses/overlap/dice.h"
#include "lossd/losses/overlap/soft_cldice.h"
#include "lossd/losses/pointwise/cross_entropy.h"
#include "lossd/losses/testing.h"

namespace lossd::testing {
namespace {

// Slabs of one channel and of two, and ranges of blocks of a sweep over one.
constexpr int64_t kOne = 2;
constexpr int64_t kTwo = 4;
constexpr int64_t kSweep = 16;

LossInputs OfClasses() {
  return {.pred = Normal({1, 2, 32, 128, 128}, 1),
          .target = Coins({1, 1, 32, 128, 128}, 2).to(at::kByte)};
}

int64_t ChecksOf(const AnyLoss& loss, LossInputs inputs) {
  inputs.gradient.into = at::empty(inputs.pred.sizes());
  TaskPool pool(1);
  TaskGroup group(pool);
  const CancelledAtCheck counter;
  EXPECT_TRUE(MakeLoss(loss)->Compute(inputs, Context(group, counter)).ok());
  return counter.checks();
}

TEST(WholeVolumesTest, CrossEntropyAsksAsItReadsChecksAndCountsClasses) {
  EXPECT_GE(ChecksOf(CrossEntropy{.reduction = Reduction::kSum}, OfClasses()), kSweep + 2 * kOne);
  EXPECT_GE(ChecksOf(CrossEntropy{.weight = {1, 2}}, OfClasses()), kSweep + 3 * kOne);
}

TEST(WholeVolumesTest, DiceAsksAsItReadsAndChecksClasses) {
  EXPECT_GE(ChecksOf(Dice{.to_onehot_y = true, .sigmoid = true}, OfClasses()),
            2 * 2 * kSweep + kTwo);
  EXPECT_GE(ChecksOf(Dice{.to_onehot_y = true, .softmax = true}, OfClasses()),
            2 * kSweep + 2 * kOne);
}

TEST(WholeVolumesTest, MasksThatAreAppliedInAdvanceAsk) {
  const Dice loss = {.to_onehot_y = true, .softmax = true};
  LossInputs masked = OfClasses();
  masked.clamp = ClampRange{-1, 1};
  masked.known = Coins({1, 1, 32, 128, 128}, 3).to(at::kBool);
  masked.blank = -1;
  // The target; the prediction, clamped and masked, and its gradient.
  EXPECT_GE(ChecksOf(loss, masked) - ChecksOf(loss, OfClasses()), kOne + 3 * kTwo);
}

TEST(WholeVolumesTest, SoftClDiceAsksAsItPrepares) {
  LossInputs inputs = {.pred = Coins({1, 2, 32, 128, 128}, 1),
                       .target = Coins({1, 2, 32, 128, 128}, 2)};
  const SoftClDice plain = {.num_iters = 0, .foreground_channel = 0, .validate_inputs = false};
  const int64_t checks = ChecksOf(plain, inputs);
  SoftClDice loss = plain;
  loss.validate_inputs = true;
  EXPECT_GE(ChecksOf(loss, inputs) - checks, 2 * kTwo);
  loss = plain;
  loss.sigmoid = true;
  EXPECT_GE(ChecksOf(loss, inputs) - checks, kTwo);
  loss = plain;
  loss.clamp_probabilities = true;
  EXPECT_GE(ChecksOf(loss, inputs) - checks, kTwo + kOne);
  inputs.target = OfClasses().target;
  EXPECT_GE(ChecksOf(plain, inputs) - checks, kTwo + kOne);
}

}  // namespace
}  // namespace lossd::testing
