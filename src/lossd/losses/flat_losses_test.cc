// ScnpLoss and SoftClDiceLoss by the loops that GPUs run, against the host's own form and
// LibTorch's expression in float64. On the host's threads, or, with LOSSD_TEST_DEVICE=cuda:0, on
// that device.

#include <gmock/gmock.h>

#include <cstdlib>
#include <memory>
#include <random>
#include <vector>

#include "lossd/losses/overlap/soft_cldice.h"
#include "lossd/losses/pointwise/scnp.h"
#include "lossd/losses/testing.h"
#include "tests/oracle/cases.h"

namespace lossd::testing {
namespace {

at::Device TestDevice() {
  const char* const gpu = std::getenv("LOSSD_TEST_DEVICE");
  return {gpu == nullptr ? "cpu" : gpu};
}

// `scratch`, where given, becomes the bytes that the loops have taken.
ValueAndGradient ComputeFlat(const Loss& loss, const LossInputs& inputs, int threads,
                             size_t* scratch = nullptr) {
  LossInputs there = inputs;
  for (at::Tensor* tensor : {&there.pred, &there.target, &there.weight, &there.known}) {
    if (tensor->defined()) *tensor = tensor->to(TestDevice());
  }
  there.gradient = {.into = at::full_like(there.pred, std::nan(""), at::kFloat)};
  TaskPool pool(threads);
  const auto result = loss.Compute(there, Context(pool).OnGpu());
  EXPECT_TRUE(result.ok()) << result.status();
  if (!result.ok()) return {};
  EXPECT_TRUE(result->finite);
  if (scratch != nullptr) *scratch = pool.workspace().bytes();
  return {.value = result->value.to(at::kCPU),
          .gradient = there.gradient.into.to(at::kCPU),
          .gradient2 = {}};
}

void ExpectClose(const at::Tensor& actual, const at::Tensor& expected, const char* what) {
  const auto largest = expected.abs().max().item<double>();
  EXPECT_TRUE(
      at::allclose(actual, expected.to(at::kFloat), /*rtol=*/1e-4, /*atol=*/1e-6 * largest + 1e-12))
      << what << ": " << (actual - expected).abs().max().item<double>() << " of " << largest;
}

void ExpectTheHosts(const AnyLoss& options, const LossInputs& inputs) {
  const auto loss = MakeLoss(options);
  const ValueAndGradient flat = ComputeFlat(*loss, inputs, 4);
  const ValueAndGradient host = Compute(*loss, inputs);
  ExpectClose(flat.value, host.value, "value");
  ExpectClose(flat.gradient, host.gradient, "gradient");
  LossInputs wide = inputs;
  wide.pred = inputs.pred.to(at::kDouble);
  const ValueAndGradient expression = Compute(*loss, wide);
  ExpectClose(flat.value, expression.value, "value of the expression");
  ExpectClose(flat.gradient, expression.gradient, "gradient of the expression");
  const ValueAndGradient alone = ComputeFlat(*loss, inputs, 1);
  EXPECT_TRUE(at::equal(flat.value, alone.value)) << "other bits on one thread";
  EXPECT_TRUE(at::equal(flat.gradient, alone.gradient)) << "other bits on one thread";
}

// Inputs and options by chance.
class Chance {
 public:
  explicit Chance(uint32_t seed) : random_(seed), seed_(static_cast<int>(1000 * seed)) {}

  int64_t Of(int64_t first, int64_t last) {
    return first + static_cast<int64_t>(random_() % (last - first + 1));
  }
  bool Happens() { return random_() % 2 == 0; }

  // Images and volumes of one to three channels.
  std::vector<int64_t> Shape() {
    std::vector<int64_t> shape = {Of(1, 2), Of(1, 3)};
    const int64_t axes = Happens() || Happens() ? 3 : 2;
    for (int64_t i = 0; i < axes; ++i) shape.push_back(Of(3, axes == 3 ? 13 : 40));
    return shape;
  }

  // Probabilities or logits, of half type or few values perhaps: half of all have ties everywhere.
  at::Tensor Pred(const std::vector<int64_t>& shape, bool probabilities) {
    at::Tensor pred = Normal(shape, ++seed_);
    if (Happens()) pred.mul_(2).round_().div_(4);
    if (probabilities) pred.mul_(0.25).add_(0.5).clamp_(0, 1);
    const at::ScalarType types[] = {at::kFloat, at::kHalf, at::kBFloat16};
    return pred.to(types[Of(0, 2)]);
  }

  LossInputs Inputs(const std::vector<int64_t>& shape, bool probabilities) {
    LossInputs inputs = {.pred = Pred(shape, probabilities),
                         .target = Coins(shape, ++seed_, Happens() ? 0.5 : 0.9)};
    std::vector<int64_t> one_channel = shape;
    one_channel[1] = 1;
    if (Happens()) inputs.target = inputs.target.to(at::kByte);
    if (Happens()) inputs.weight = Coins(Happens() ? shape : one_channel, ++seed_, 0.8) * 1.5;
    if (Happens()) inputs.known = Coins(one_channel, ++seed_, 0.8).to(at::kBool);
    if (Happens()) inputs.class_weights = ClassWeights{.foreground = 1.7, .background = 0.6};
    if (!probabilities && Happens()) inputs.clamp = ClampRange{-1.25, 1.5};
    return inputs;
  }

 private:
  std::mt19937 random_;
  int seed_;
};

TEST(FlatLossTest, ScnpIsTheHosts) {
  for (uint32_t seed = 1; seed <= Cases(80); ++seed) {
    SCOPED_TRACE(seed);
    Chance chance(seed);
    const LossInputs inputs = chance.Inputs(chance.Shape(), /*probabilities=*/false);
    ExpectTheHosts(Scnp{.neighborhood_size = 2 * chance.Of(0, 3) + 1,
                        .auto_pos_weight = chance.Happens(),
                        .reduction = chance.Happens() ? Reduction::kMean : Reduction::kSum},
                   inputs);
  }
}

TEST(FlatLossTest, SoftClDiceIsTheHosts) {
  for (uint32_t seed = 1; seed <= Cases(40); ++seed) {
    SCOPED_TRACE(seed);
    Chance chance(seed);
    const std::vector<int64_t> shape = chance.Shape();
    const bool sigmoid = chance.Happens();
    const Reduction reductions[] = {Reduction::kMean, Reduction::kSum, Reduction::kNone};
    ExpectTheHosts(SoftClDice{.num_iters = chance.Of(0, 7),
                              .mode = shape[1] > 1 && chance.Happens() ? ClDiceMode::kMulti
                                                                       : ClDiceMode::kBinary,
                              .reduction = reductions[chance.Of(0, 2)],
                              .foreground_channel = chance.Of(0, shape[1] - 1),
                              .sigmoid = sigmoid,
                              .clamp_probabilities = chance.Happens()},
                   chance.Inputs(shape, /*probabilities=*/!sigmoid));
  }
}

// More than is worked on at a time: the sums and windows of each sample are its own, and memory is
// that of some.
TEST(FlatLossTest, LargeVolumes) {
  if (kSanitized) GTEST_SKIP() << "slow, and no other code than that of small ones";
  const LossInputs inputs = {.pred = Normal({2, 1, 32, 160, 256}, 1),
                             .target = Coins({2, 1, 32, 160, 256}, 2)};
  for (const AnyLoss& options :
       {AnyLoss(Scnp()), AnyLoss(SoftClDice{.num_iters = 1, .sigmoid = true})}) {
    const auto loss = MakeLoss(options);
    size_t scratch = 0;
    const ValueAndGradient flat = ComputeFlat(*loss, inputs, 4, &scratch);
    const ValueAndGradient host = Compute(*loss, inputs);
    ExpectClose(flat.value, host.value, "value");
    ExpectClose(flat.gradient, host.gradient, "gradient");
    EXPECT_LE(scratch, loss->GpuScratchBytes({.pred = inputs.pred.sizes().vec()}));
  }
}

TEST(FlatLossTest, NotFiniteGradientsAreTold) {
  LossInputs inputs = {.pred = Normal({1, 2, 4, 5, 6}, 1), .target = Coins({1, 2, 4, 5, 6}, 2)};
  inputs.pred.view(-1)[177] = std::nan("");
  TaskPool pool(2);
  for (const AnyLoss& options : {AnyLoss(Scnp()), AnyLoss(SoftClDice{.sigmoid = true})}) {
    LossInputs there = inputs;
    there.pred = inputs.pred.to(TestDevice());
    there.target = inputs.target.to(TestDevice());
    there.gradient = {.into = at::empty_like(there.pred)};
    const auto result = MakeLoss(options)->Compute(there, Context(pool).OnGpu());
    ASSERT_TRUE(result.ok()) << result.status();
    EXPECT_FALSE(result->finite && std::isfinite(result->value.item<double>()));
  }
}

}  // namespace
}  // namespace lossd::testing
