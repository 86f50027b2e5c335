// Every loss on a GPU against the same on the host: with LOSSD_TEST_DEVICE=cuda:0.

#include <gmock/gmock.h>

#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "lossd/base/testing.h"
#include "lossd/losses/malis_loss.h"
#include "lossd/losses/overlap/soft_cldice.h"
#include "lossd/losses/registry.h"
#include "lossd/losses/testing.h"

namespace lossd::testing {
namespace {

class GpuLossTest : public ::testing::TestWithParam<LossConfig> {
 protected:
  void SetUp() override {
    const char* const gpu = std::getenv("LOSSD_TEST_DEVICE");
    if (gpu == nullptr) GTEST_SKIP() << "no GPU";
    gpu_ = at::Device(gpu);
  }

  at::Tensor OnGpu(const at::Tensor& tensor) const {
    return tensor.defined() ? tensor.to(gpu_) : tensor;
  }

  ValueAndGradient ComputeOnGpu(const LossInputs& inputs) const {
    LossInputs moved = inputs;
    for (at::Tensor* tensor :
         {&moved.pred, &moved.pred2, &moved.target, &moved.weight, &moved.known, &moved.gt_seg}) {
      *tensor = OnGpu(*tensor);
    }
    const auto place = [&](const at::Tensor& prediction) {
      return prediction.defined() ? at::full_like(prediction, std::nan(""), at::kFloat)
                                  : at::Tensor();
    };
    moved.gradient = {.into = place(moved.pred)};
    moved.gradient2 = {.into = place(moved.pred2)};
    TaskPool pool(2);
    const auto result = loss_->Compute(moved, Context(pool).OnGpu());
    EXPECT_TRUE(result.ok()) << result.status();
    if (!result.ok()) return {};
    const auto back = [](const at::Tensor& tensor) {
      return tensor.defined() ? tensor.to(at::kCPU) : tensor;
    };
    return {.value = back(result->value),
            .gradient = back(moved.gradient.into),
            .gradient2 = back(moved.gradient2.into)};
  }

  void ExpectTheHosts(const LossInputs& inputs) const {
    const ValueAndGradient host = Compute(*loss_, inputs);
    const ValueAndGradient gpu = ComputeOnGpu(inputs);
    const ValueAndGradient again = ComputeOnGpu(inputs);
    const auto compare = [](const at::Tensor& a, const at::Tensor& b, const at::Tensor& c) {
      if (!b.defined()) return;
      ASSERT_TRUE(a.defined());
      const auto largest = b.abs().max().item<double>();
      EXPECT_TRUE(at::allclose(a, b, 1e-4, 1e-5 * largest))
          << (a - b).abs().max().item<double>() << " of " << largest;
      EXPECT_TRUE(at::equal(a, c)) << "other bits each time";
    };
    compare(gpu.value, host.value, again.value);
    compare(gpu.gradient, host.gradient, again.gradient);
    compare(gpu.gradient2, host.gradient2, again.gradient2);
  }

  const LossTraits& Traits() const { return GetParam().traits(); }
  bool TakesWeight() const { return Traits().spatial_weight_arg != SpatialWeightArg::kNone; }

  std::shared_ptr<const Loss> Make() const {
    // With its defaults it takes probabilities.
    if (Traits().name == SoftClDice::kTraits.name) return MakeLoss(SoftClDice{.sigmoid = true});
    return MakeLoss(GetParam());
  }

  const std::shared_ptr<const Loss> loss_ = Make();
  at::Device gpu_ = at::kCPU;
};

TEST_P(GpuLossTest, IsTheHosts) {
  const std::vector<int64_t> one_channel = {2, 1, 20, 17, 33};
  const LossInputs inputs = InputsOf(Traits(), {2, 3, 20, 17, 33});
  const bool of_classes = Traits().target_kind == TargetKind::kClassIndex;
  ExpectTheHosts(inputs);
  if (TakesWeight()) {
    LossInputs weighted = inputs;
    weighted.weight = Coins(one_channel, 4, 0.8);
    ExpectTheHosts(weighted);
  }
  if (Traits().name == "GANLoss") return;
  LossInputs masked = inputs;
  masked.clamp = ClampRange{-1.25, 1.5};
  if (Traits().call_kind == CallKind::kPredTarget) {
    masked.known = Coins(one_channel, 5).to(at::kBool);
    if (!TakesWeight()) masked.blank = -3;
    if (Traits().spatial_weight_arg == SpatialWeightArg::kWeight && !of_classes) {
      masked.class_weights = ClassWeights{.foreground = 1.7, .background = 0.6};
    }
  }
  ExpectTheHosts(masked);
  for (const at::ScalarType type : {at::kHalf, at::kBFloat16}) {
    LossInputs half = inputs;
    half.pred = inputs.pred.to(type);
    if (inputs.pred2.defined()) half.pred2 = inputs.pred2.to(type);
    ExpectTheHosts(half);
  }
}

TEST_P(GpuLossTest, TakesEverySegmentation) {
  if (!Traits().takes_gt_seg) GTEST_SKIP() << "takes none";
  const std::vector<int64_t> shape = {2, 3, 20, 17, 33};
  LossInputs inputs = {.pred = Normal(shape, 1), .target = Coins(shape, 3, 0.8)};
  const at::Tensor ids = at::floor(at::arange(2 * 20 * 17 * 33) / 97).view({2, 20, 17, 33});
  for (const at::ScalarType type :
       {at::kByte, at::kChar, at::kShort, at::kInt, at::kLong, at::kUInt16, at::kUInt32}) {
    inputs.gt_seg = ids.remainder(120).to(type);
    ExpectTheHosts(inputs);
  }
  inputs.gt_seg = ids.to(at::kLong).mul_(int64_t{1} << 40).sub_(int64_t{5} << 40);
  ExpectTheHosts(inputs);
}

// Between what lies around a crop, and among other channels.
TEST_P(GpuLossTest, WritesItsGradientWhereItIsWanted) {
  if (Traits().call_kind != CallKind::kPredTarget || Traits().name == "GANLoss") {
    GTEST_SKIP() << "as others";
  }
  LossInputs inputs = InputsOf(Traits(), {2, 3, 20, 17, 33});
  std::shared_ptr<const Loss> loss = loss_;
  if (Traits().takes_gt_seg) {
    loss = MakeLoss(Malis{.malis_crop_size = {7, 9, 11}});
    inputs.crop_origin = {3, 4, 5};
  }
  const at::Tensor expected = Compute(*loss, inputs).gradient;
  TaskPool pool(2);
  for (const at::ScalarType type : {at::kFloat, at::kHalf}) {
    for (const bool add : {false, true}) {
      const double factor = 0.5 / expected.abs().max().item<double>();
      const at::Tensor all = at::ones({2, 5, 20, 17, 33}, at::TensorOptions(type).device(gpu_));
      LossInputs moved = inputs;
      moved.pred = OnGpu(inputs.pred);
      moved.target = OnGpu(inputs.target);
      moved.gradient = {.into = all.narrow(1, 1, 3), .factor = factor, .add = add};
      const auto result = loss->Compute(moved, Context(pool).OnGpu());
      ASSERT_TRUE(result.ok()) << result.status();
      at::Tensor wanted = at::ones({2, 5, 20, 17, 33});
      wanted.narrow(1, 1, 3).mul_(add ? 1 : 0).add_(expected, factor);
      const double tolerance = type == at::kFloat ? 1e-4 : 1e-2;
      EXPECT_TRUE(at::allclose(all.to(at::kCPU, at::kFloat), wanted, tolerance, tolerance))
          << c10::toString(type) << add;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, GpuLossTest, ::testing::ValuesIn(AllLosses()),
                         [](const auto& test) { return std::string(test.param.traits().name); });

}  // namespace
}  // namespace lossd::testing
