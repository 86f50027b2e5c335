#include "lossd/compute/diagnostics.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <torch/types.h>

#include <limits>

#include "lossd/base/error.h"
#include "lossd/losses/registry.h"

namespace lossd {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

class DiagnosticsTest : public testing::Test {
 protected:
  TaskPool pool_{2};
};

TEST_F(DiagnosticsTest, DescribesWhatIsNotFiniteAndWhere) {
  const at::Tensor tensor =
      torch::tensor({{kNan, 1.F, -2.5F, kInf}, {0.F, 1.F, 2.F, 3.F}}).view({2, 1, 2, 2});
  EXPECT_EQ(DescribeTensor("pred", tensor, pool_),
            "pred [2, 1, 2, 2]: finite values in [-2.5, 3], 1 NaN, 1 Inf, share that is not finite "
            "per sample 0.5000, 0.0000");
}

TEST_F(DiagnosticsTest, DescribesFiniteIntegerAndEmptyRanges) {
  EXPECT_EQ(DescribeTensor("target", torch::tensor({{0, 7}}, at::kLong), pool_),
            "target [1, 2]: finite values in [0, 7], 0 NaN, 0 Inf");
  EXPECT_EQ(DescribeTensor("mask", torch::tensor({{true, false}}), pool_),
            "mask [1, 2]: finite values in [0, 1], 0 NaN, 0 Inf");
  EXPECT_THAT(DescribeTensor("pred", torch::full({1, 2}, kNan), pool_),
              testing::HasSubstr("no finite value, 2 NaN, 0 Inf"));
}

TEST_F(DiagnosticsTest, ListsAFewSamplesOfManyOnly) {
  EXPECT_THAT(DescribeTensor("pred", torch::full({100, 1}, kInf).to(at::kHalf), pool_),
              testing::EndsWith("1.0000, …"));
}

TEST_F(DiagnosticsTest, TheErrorNamesTheTermAndAllItsTensors) {
  PlanTerm term;
  term.name = "term_3";
  term.path = "losses[3]";
  term.traits = &FindLoss("WeightedBCEWithLogitsLoss")->traits();
  LossInputs inputs;
  inputs.pred = torch::full({1, 1, 2, 2}, kNan);
  inputs.target = torch::zeros({1, 1, 2, 2});
  inputs.weight = torch::ones({1, 1, 2, 2});
  inputs.pos_weight = 2;
  const absl::Status status = NotFiniteError(term, 1, kNan, inputs, pool_);
  EXPECT_EQ(ErrorField(status), "losses[3]");
  EXPECT_EQ(ErrorReason(status), "NOT_FINITE");
  EXPECT_THAT(std::string(status.message()),
              testing::AllOf(
                  testing::HasSubstr("term_3 (WeightedBCEWithLogitsLoss) at scale 1 is nan; pred"),
                  testing::HasSubstr("; target [1, 1, 2, 2]"), testing::HasSubstr("; mask"),
                  testing::HasSubstr("; pos_weight 2"), testing::Not(testing::HasSubstr("pred2"))));
  EXPECT_THAT(std::string(NotFiniteError(term, 0, 0.5, inputs, pool_).message()),
              testing::HasSubstr("at scale 0 is 0.5, but its gradient is not finite; pred"));
}

}  // namespace
}  // namespace lossd
