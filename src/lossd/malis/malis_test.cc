#include "lossd/malis/malis.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <optional>
#include <string>
#include <vector>

#include "lossd/base/error.h"

namespace lossd {
namespace {

using ::testing::ElementsAre;
using ::testing::FloatEq;

// Three voxels in a row and a fourth: objects {0, 1} and {2, 3}; edge i joins voxels i and i + 1.
class ChainTest : public testing::Test {
 protected:
  std::vector<uint64_t> Counts(MalisPass pass) {
    std::vector<uint64_t> counts(4, 7);
    const absl::Status status =
        MalisCounts(sample_, pass, pool_, workspace_, absl::MakeSpan(counts));
    EXPECT_TRUE(status.ok()) << status;
    return counts;
  }

  std::optional<std::string> FieldOfError() {
    std::vector<float> weights(4);
    return ErrorField(MalisWeights({sample_}, pool_, workspace_, {absl::MakeSpan(weights)}));
  }

  TaskPool pool_{2};
  Workspace workspace_;
  std::vector<Offset> neighborhood_ = {{.z = 0, .y = 0, .x = 1}};
  std::vector<float> affinity_ = {0.9F, 0.4F, 0.8F, 0.99F};  // The last leads outside.
  std::vector<uint8_t> positive_ = {1, 0, 1, 1};
  std::vector<uint8_t> known_ = {1, 1, 1, 1};
  std::vector<uint32_t> labels_ = {5, 5, 9, 9};
  MalisSample sample_ = {.shape = {.z = 1, .y = 1, .x = 4},
                         .neighborhood = neighborhood_,
                         .affinity = affinity_,
                         .positive = positive_,
                         .known = {},
                         .labels = labels_};
};

TEST_F(ChainTest, NegativePassCountsPairsOfDifferentLabels) {
  EXPECT_THAT(Counts(MalisPass::kNegative), ElementsAre(0, 4, 0, 0));
}

TEST_F(ChainTest, PositivePassCountsPairsOfEqualLabels) {
  EXPECT_THAT(Counts(MalisPass::kPositive), ElementsAre(1, 0, 1, 0));
}

TEST_F(ChainTest, WeightsAreBothPassesEachOverItsSum) {
  std::vector<float> weights(4, 7);
  ASSERT_TRUE(MalisWeights({sample_}, pool_, workspace_, {absl::MakeSpan(weights)}).ok());
  EXPECT_THAT(weights, ElementsAre(FloatEq(0.5), FloatEq(1), FloatEq(0.5), FloatEq(0)));
}

TEST_F(ChainTest, PairsAreTheSumsOfAllSamples) {
  std::vector<float> weights(8);
  const absl::Span<float> all = absl::MakeSpan(weights);
  MalisPairs pairs = {.negative = 7, .positive = 7};
  ASSERT_TRUE(
      MalisWeights({sample_, sample_}, pool_, workspace_, {all.first(4), all.last(4)}, &pairs)
          .ok());
  EXPECT_EQ(pairs.negative, 8);
  EXPECT_EQ(pairs.positive, 4);
}

TEST_F(ChainTest, WithoutLabelsTheyAreTheComponentsOfPositiveEdges) {
  sample_.labels = {};
  EXPECT_THAT(Counts(MalisPass::kNegative), ElementsAre(0, 4, 0, 0));
}

TEST_F(ChainTest, UnknownEdgesJoinButDoNotCount) {
  sample_.known = known_;
  known_[1] = 0;
  EXPECT_THAT(Counts(MalisPass::kNegative), ElementsAre(0, 0, 0, 0));
  labels_ = {5, 5, 5, 5};
  affinity_[1] = 0.85F;  // Unknown: not lowered, so it joins before edge 2 does.
  EXPECT_THAT(Counts(MalisPass::kPositive), ElementsAre(1, 0, 3, 0));
}

TEST_F(ChainTest, BackgroundIsInNoPair) {
  labels_ = {0, 5, 9, 0};
  EXPECT_THAT(Counts(MalisPass::kNegative), ElementsAre(0, 1, 0, 0));
  EXPECT_THAT(Counts(MalisPass::kPositive), ElementsAre(0, 0, 0, 0));
}

TEST_F(ChainTest, RefusesWhatIsNoSample) {
  affinity_[2] = std::nanf("");
  EXPECT_EQ(FieldOfError(), "affinity");
  sample_.affinity = {};
  EXPECT_EQ(FieldOfError(), "affinity");
  sample_.affinity = affinity_;
  affinity_[2] = 0;
  sample_.positive = {};
  EXPECT_EQ(FieldOfError(), "positive");
  sample_.positive = positive_;
  sample_.known = absl::MakeConstSpan(known_).first(3);
  EXPECT_EQ(FieldOfError(), "known");
  sample_.known = {};
  sample_.labels = absl::MakeConstSpan(labels_).first(3);
  EXPECT_EQ(FieldOfError(), "labels");
  sample_.labels = labels_;
  EXPECT_EQ(ErrorField(MalisWeights({sample_}, pool_, workspace_, {})), "weights");
  sample_.shape = {.z = 1 << 30, .y = 1 << 30, .x = 1 << 30};
  EXPECT_EQ(FieldOfError(), "shape");
  sample_.shape = {.z = -1, .y = 1, .x = -4};
  EXPECT_EQ(FieldOfError(), "shape");
}

}  // namespace
}  // namespace lossd
