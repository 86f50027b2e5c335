#include "lossd/sweep/kernels.h"

#include <gmock/gmock.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstddef>
#include <functional>
#include <iterator>
#include <limits>
#include <random>
#include <string>
#include <type_traits>
#include <vector>

#include "lossd/base/instruction_sets.h"
#include "lossd/base/testing.h"
#include "lossd/losses/list.h"
#include "lossd/sweep/any_element.h"
#include "lossd/sweep/cpu/kernel_tables.h"

// Every kernel at every level that this processor has, against the baseline.
namespace lossd {
namespace {

// Vectors of all widths, and a rest.
constexpr int64_t kSize = 1031;

// What a kernel gives.
struct Answer {
  std::vector<float> same = {};     // Bit by bit, at every level.
  std::vector<float> rounded = {};  // By fused multiply-adds or without.
  std::vector<double> sums = {};    // Of such numbers, added in another order.
};

// Numbers like logits, and among them some like no other.
std::vector<float> Numbers(uint32_t seed, int64_t size = kSize) {
  constexpr float kOdd[] = {0.0F, -0.0F, 100.0F, -100.0F, 1e-40F, 0x1p-126F, 20.0F, -20.0F, 0.625F};
  std::mt19937 random(seed);  // NOLINT(cert-msc51-cpp): the same in every run.
  std::normal_distribution<float> normal(0, 3);
  std::vector<float> numbers(static_cast<size_t>(size));
  for (float& x : numbers) {
    x = random() % 8 == 0 ? kOdd[random() % std::size(kOdd)] : normal(random);
  }
  return numbers;
}

// Whole numbers below `end`, as floats.
std::vector<float> Whole(uint32_t seed, uint32_t end, int64_t size = kSize) {
  std::mt19937 random(seed);  // NOLINT(cert-msc51-cpp): the same in every run.
  std::vector<float> numbers(static_cast<size_t>(size));
  for (float& x : numbers) x = static_cast<float>(random() % end);
  return numbers;
}

// What only some kernels are given.
std::vector<float> WithNotFinite(std::vector<float> numbers) {
  constexpr float kInfinity = std::numeric_limits<float>::infinity();
  constexpr float kOdd[] = {std::numeric_limits<float>::quiet_NaN(), kInfinity, -kInfinity, 1e30F};
  for (size_t i = 0; i < numbers.size(); i += 13) numbers[i] = kOdd[i % std::size(kOdd)];
  return numbers;
}

std::vector<float> Floats(const auto& values) { return {values.begin(), values.end()}; }

std::vector<float> Joined(const std::vector<std::vector<float>>& parts) {
  std::vector<float> all;
  for (const std::vector<float>& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

class KernelsTest : public testing::TestWithParam<InstructionSet> {
 protected:
  // Of what `run` makes of the kernels of a level.
  template <typename Table>
  void ExpectAsBaseline(const std::function<Answer(const Table& kernels)>& run) {
    const Answer expected = run(KernelsOf<Table>(InstructionSet::kBaseline));
    const Answer actual = run(KernelsOf<Table>(GetParam()));
    EXPECT_EQ(BitsOfNumbers(actual.same), BitsOfNumbers(expected.same));
    ASSERT_EQ(actual.rounded.size(), expected.rounded.size());
    for (size_t i = 0; i < actual.rounded.size(); ++i) {
      EXPECT_NEAR(actual.rounded[i], expected.rounded[i],
                  1e-6 + 1e-6 * std::abs(expected.rounded[i]));
    }
    ASSERT_EQ(actual.sums.size(), expected.sums.size());
    for (size_t i = 0; i < actual.sums.size(); ++i) {
      EXPECT_NEAR(actual.sums[i], expected.sums[i], 1e-6 * std::abs(expected.sums[i]));
    }
  }
};

INSTANTIATE_TEST_SUITE_P(Levels, KernelsTest, testing::ValuesIn(RunnableInstructionSets()),
                         [](const auto& level) { return Word(level.param); });

// MALIS orders edges by them.
TEST_P(KernelsTest, SigmoidHasTheSameBits) {
  const std::vector<float> elements = SampleOfAllFloats();
  const auto size = static_cast<int64_t>(elements.size());
  ExpectAsBaseline<SigmoidKernels>([&](const SigmoidKernels& kernels) {
    std::vector<float> sigmoid(elements.size());
    std::vector<float> affinity(elements.size());
    std::vector<uint8_t> positive(elements.size());
    kernels.sigmoid(elements.data(), size, sigmoid.data());
    kernels.affinity(elements.data(), elements.data(), nullptr, /*sigmoid=*/true, size,
                     affinity.data(), positive.data(), nullptr);
    EXPECT_EQ(BitsOfNumbers(sigmoid), BitsOfNumbers(affinity));
    // Nor do they differ on other machines: FNV-1a of what single float32 operations give.
    uint64_t hash = 0xcbf29ce484222325;
    for (const uint32_t bits : BitsOfNumbers(sigmoid)) hash = (hash ^ bits) * 0x100000001b3;
    EXPECT_EQ(hash, 0x990529775fdcc115);
    return Answer{.same = sigmoid};
  });
}

TEST_P(KernelsTest, SigmoidIsAccurate) {
  std::vector<float> elements;
  for (int i = -216; i <= 216; ++i) elements.push_back(0.37F * static_cast<float>(i));
  std::vector<float> sigmoid(elements.size());
  KernelsOf<SigmoidKernels>(GetParam())
      .sigmoid(elements.data(), static_cast<int64_t>(elements.size()), sigmoid.data());
  for (size_t i = 0; i < elements.size(); ++i) {
    const double expected = 1 / (1 + std::exp(-static_cast<double>(elements[i])));
    EXPECT_NEAR(sigmoid[i], expected, 4e-7 * expected) << elements[i];
  }
}

template <typename Element>
Answer RunElement(PointwiseKernel kernel, const Element& element) {
  Answer answer;
  const std::vector<float> pred = Numbers(1);
  const std::vector<float> target = Whole(2, 2);
  const std::vector<float> weight = Whole(3, 4);
  for (const float* weights : {static_cast<const float*>(nullptr), weight.data()}) {
    for (const bool tanh : {false, true}) {
      std::vector<float> gradient(pred.size());
      PointwiseBlock block = {.pred = pred.data(),
                              .target = target.data(),
                              .weight = weights,
                              .gradient = gradient.data(),
                              .size = kSize};
      const PointwiseOptions options = {.weight_floor = 0, .gradient_scale = 0.3F, .tanh = tanh};
      answer.sums.push_back(kernel(&element, block, options));
      block.gradient = nullptr;
      answer.sums.push_back(kernel(&element, block, options));
      answer.rounded = Joined({answer.rounded, gradient});
    }
  }
  return answer;
}

template <typename Loss>
Answer RunLoss(PointwiseKernel kernel) {
  if constexpr (std::is_void_v<typename ElementOf<Loss>::Type>) {
    EXPECT_EQ(kernel, nullptr);
    return {};
  } else {
    return RunElement(kernel, Loss().Element());
  }
}

template <typename... Each>
std::vector<Answer> RunLosses(TypeList<Each...> /*losses*/, const PointwiseKernel* kernels) {
  return {RunLoss<Each>(*kernels++)...};
}

TEST_P(KernelsTest, ElementsOfAllLosses) {
  ExpectAsBaseline<ElementKernels>([](const ElementKernels& kernels) {
    Answer all;
    for (const Answer& answer : RunLosses(Losses(), kernels.of_losses)) {
      all.rounded = Joined({all.rounded, answer.rounded});
      all.sums.insert(all.sums.end(), answer.sums.begin(), answer.sums.end());
    }
    EXPECT_FALSE(all.sums.empty());
    return all;
  });
}

TEST_P(KernelsTest, Counts) {
  ExpectAsBaseline<BlockKernels>([](const BlockKernels& kernels) {
    const std::vector<float> target = Numbers(1);
    const std::vector<float> weight = Numbers(2);
    const BlockCounts all = kernels.count(target.data(), nullptr, kSize);
    const BlockCounts weighted = kernels.count(target.data(), weight.data(), kSize);
    EXPECT_EQ(weighted.valid, kernels.count_weights(weight.data(), kSize));
    Answer answer;
    for (const BlockCounts& counts : {all, weighted}) {
      for (const int64_t count : {counts.valid, counts.positives, counts.negatives}) {
        answer.sums.push_back(static_cast<double>(count));
      }
    }
    return answer;
  });
}

TEST_P(KernelsTest, Overlaps) {
  ExpectAsBaseline<BlockKernels>([](const BlockKernels& kernels) {
    const std::vector<float> pred = Numbers(1);
    const std::vector<float> target = Whole(2, 2);
    Answer answer;
    for (const bool sigmoid : {false, true}) {
      const OverlapSums sums = kernels.overlap(pred.data(), target.data(), sigmoid, kSize);
      answer.sums.insert(answer.sums.end(), {sums.common, sums.pred, sums.target});
      std::vector<float> gradient(pred.size());
      kernels.overlap_gradient(pred.data(), target.data(), sigmoid, 0.7F, -0.3F, kSize,
                               gradient.data());
      answer.rounded = Joined({answer.rounded, gradient});
    }
    return answer;
  });
}

TEST_P(KernelsTest, WorstNeighbours) {
  ExpectAsBaseline<BlockKernels>([](const BlockKernels& kernels) {
    constexpr int64_t kRows = 9;  // 3 planes of 3 rows, around the row in the middle.
    const std::vector<float> pred = WithNotFinite(Numbers(1, kRows * kSize));
    const std::vector<float> target = Whole(2, 2, kRows * kSize);
    std::vector<float> badness(pred.size());
    std::vector<int32_t> voxel_class(pred.size());
    kernels.badness(pred.data(), target.data(), kRows * kSize, badness.data(), voxel_class.data());
    constexpr int64_t kFirst = 4 * kSize + 1;
    const NeighbourWindow window = {.badness = badness.data() + kFirst,
                                    .voxel_class = voxel_class.data() + kFirst,
                                    .radius = {1, 1, 1},
                                    .stride = {3 * kSize, kSize},
                                    .volume_stride = {900, 30}};
    std::vector<float> worst(kSize - 2);
    std::vector<int32_t> offset(kSize - 2);
    kernels.worst_neighbours(window, kSize - 2, worst.data(), offset.data());
    return Answer{.same = Joined({badness, Floats(voxel_class), worst, Floats(offset)})};
  });
}

TEST_P(KernelsTest, Affinities) {
  ExpectAsBaseline<SigmoidKernels>([](const SigmoidKernels& kernels) {
    const std::vector<float> pred = Numbers(1);
    const std::vector<float> target = Whole(2, 2);
    const std::vector<float> mask = Whole(3, 3);
    std::vector<float> affinity(pred.size());
    std::vector<uint8_t> positive(pred.size());
    std::vector<uint8_t> known(pred.size());
    const auto run = [&](const std::vector<float>& of) {
      return kernels.affinity(of.data(), target.data(), mask.data(), /*sigmoid=*/false, kSize,
                              affinity.data(), positive.data(), known.data());
    };
    EXPECT_FALSE(run(WithNotFinite(pred)));
    EXPECT_TRUE(run(pred));
    EXPECT_EQ(BitsOfNumbers(affinity), BitsOfNumbers(pred));
    return Answer{.same = Joined({Floats(positive), Floats(known)})};
  });
}

TEST_P(KernelsTest, PreparationOfInputs) {
  ExpectAsBaseline<BlockKernels>([](const BlockKernels& kernels) {
    const std::vector<float> elements = WithNotFinite(Numbers(1));
    const std::vector<float> target = Whole(2, 2);
    std::vector<std::vector<float>> parts(4, std::vector<float>(elements.size()));
    kernels.clamp(elements.data(), -1, 2, kSize, parts[0].data());
    kernels.class_weight(elements.data(), target.data(), 3, 0.25F, kSize, parts[1].data());
    kernels.class_weight(nullptr, target.data(), 3, 0.25F, kSize, parts[2].data());
    bool known[kSize];
    for (int64_t i = 0; i < kSize; ++i) known[i] = target[i] > 0;
    kernels.keep(elements.data(), known, 7, kSize, parts[3].data());
    return Answer{.same = Joined(parts)};
  });
}

TEST_P(KernelsTest, HalfPrecision) {
  ExpectAsBaseline<BlockKernels>([](const BlockKernels& kernels) {
    std::vector<uint16_t> halves(1 << 16);
    for (size_t i = 0; i < halves.size(); ++i) halves[i] = static_cast<uint16_t>(i);
    std::vector<float> half(halves.size());
    std::vector<float> bfloat16(halves.size());
    kernels.widen_half(halves.data(), static_cast<int64_t>(halves.size()), half.data());
    kernels.widen_bfloat16(halves.data(), static_cast<int64_t>(halves.size()), bfloat16.data());
    EXPECT_EQ(half[0x3c01], 1 + 0x1p-10F);
    EXPECT_EQ(bfloat16[0x3f81], 1 + 0x1p-7F);
    // And back: all halves are themselves again.
    std::vector<uint16_t> narrow(halves.size());
    kernels.narrow_bfloat16(bfloat16.data(), static_cast<int64_t>(narrow.size()), narrow.data());
    const std::vector<float> from_bfloat16 = Floats(narrow);
    EXPECT_FALSE(
        kernels.narrow_half(half.data(), static_cast<int64_t>(narrow.size()), narrow.data()));
    EXPECT_TRUE(kernels.narrow_half(half.data(), 0x7c00, narrow.data()));
    for (size_t i = 0; i < 0x7c01; ++i) EXPECT_EQ(narrow[i], i);
    return Answer{.same = Joined({half, bfloat16, from_bfloat16, Floats(narrow)})};
  });
}

TEST_P(KernelsTest, AddScaled) {
  ExpectAsBaseline<BlockKernels>([](const BlockKernels& kernels) {
    const std::vector<float> gradient = Numbers(1);
    const std::vector<float> odd = WithNotFinite(gradient);
    std::vector<float> sum = Numbers(2);
    EXPECT_TRUE(kernels.add_scaled(gradient.data(), 0.3F, /*add=*/true, kSize, sum.data()));
    std::vector<float> product(sum.size());
    EXPECT_TRUE(kernels.add_scaled(gradient.data(), 0.7F, /*add=*/false, kSize, product.data()));
    EXPECT_FALSE(kernels.add_scaled(odd.data(), 0.3F, /*add=*/false, kSize, product.data()));
    return Answer{.same = Joined({sum, product})};
  });
}

TEST_P(KernelsTest, NonOverlap) {
  ExpectAsBaseline<BlockKernels>([](const BlockKernels& kernels) {
    const std::vector<float> first = Numbers(1);
    const std::vector<float> second = Numbers(2);
    const std::vector<float> third = Numbers(3);
    Answer answer;
    for (const float* cleft : {static_cast<const float*>(nullptr), third.data()}) {
      std::vector<float> first_gradient(first.size());
      std::vector<float> second_gradient(first.size());
      ExclusiveChannels block = {.first = first.data(),
                                 .second = second.data(),
                                 .cleft = cleft,
                                 .first_gradient = first_gradient.data(),
                                 .second_gradient = second_gradient.data(),
                                 .size = kSize};
      answer.sums.push_back(kernels.non_overlap(block, 0.3F));
      block.first_gradient = nullptr;
      block.second_gradient = nullptr;
      answer.sums.push_back(kernels.non_overlap(block, 0.3F));
      answer.rounded = Joined({answer.rounded, first_gradient, second_gradient});
    }
    return answer;
  });
}

TEST_P(KernelsTest, AffinityErrors) {
  ExpectAsBaseline<BlockKernels>([](const BlockKernels& kernels) {
    const std::vector<float> affinity = Numbers(1);
    const std::vector<float> target = Whole(2, 2);
    const std::vector<float> weight = Numbers(3);
    Answer answer;
    for (const bool sigmoid : {false, true}) {
      std::vector<float> gradient(affinity.size());
      std::vector<float> loss(affinity.size());
      answer.sums.push_back(kernels.affinity_error({.affinity = affinity.data(),
                                                    .target = target.data(),
                                                    .weight = weight.data(),
                                                    .gradient = gradient.data(),
                                                    .loss = loss.data(),
                                                    .size = kSize},
                                                   sigmoid, 0.3F));
      answer.same = Joined({answer.same, gradient, loss});
    }
    return answer;
  });
}

// As kernels take channels.
struct Channels {
  Channels(uint32_t seed, int64_t count) : values(static_cast<size_t>(count)) {
    for (std::vector<float>& channel : values) {
      channel = Numbers(seed++);
      pointers.push_back(channel.data());
    }
  }

  std::vector<std::vector<float>> values;
  std::vector<float*> pointers;
};

TEST_P(KernelsTest, Softmax) {
  ExpectAsBaseline<SoftmaxKernels>([](const SoftmaxKernels& kernels) {
    constexpr int64_t kClasses = 3;
    Channels logits(1, kClasses);
    Channels gradient(4, kClasses);
    Channels probabilities(4, kClasses);
    const std::vector<float> target = Whole(7, kClasses);
    const float class_weight[] = {0.5F, 2, 1};
    std::vector<float> scratch(4 * kSize);
    const double entropy = kernels.cross_entropy({.logits = logits.pointers.data(),
                                                  .target = target.data(),
                                                  .class_weight = class_weight,
                                                  .classes = kClasses,
                                                  .size = kSize,
                                                  .ignored = 2,
                                                  .gradient_scale = 0.3F,
                                                  .gradient = gradient.pointers.data(),
                                                  .scratch = scratch.data()});
    Answer answer = {.rounded = Joined(gradient.values), .sums = {entropy}};
    kernels.softmax({.logits = logits.pointers.data(),
                     .classes = kClasses,
                     .size = kSize,
                     .probabilities = probabilities.pointers.data(),
                     .scratch = scratch.data()});
    Channels one_hot(8, kClasses);
    for (int64_t c = 0; c < kClasses; ++c) {
      kernels.one_hot(target.data(), static_cast<float>(c), kSize, one_hot.pointers[c]);
    }
    answer.rounded = Joined({answer.rounded, Joined(probabilities.values), Joined(one_hot.values)});
    const float common[] = {0.3F, -0.7F, 1.1F};
    const float constant[] = {-0.1F, 0.9F, 0.2F};
    kernels.softmax_gradient({.probabilities = probabilities.pointers.data(),
                              .target = one_hot.pointers.data(),
                              .common = common,
                              .constant = constant,
                              .classes = kClasses,
                              .size = kSize,
                              .scratch = scratch.data()});
    answer.rounded = Joined({answer.rounded, Joined(probabilities.values)});
    return answer;
  });
}

TEST_P(KernelsTest, Morphology) {
  for (const bool has_z : {false, true}) {
    ExpectAsBaseline<MorphologyKernels>([&](const MorphologyKernels& kernels) {
      const PlaneShape shape = {.y = 5, .x = 77, .has_z = has_z};
      // Few values, so that windows have several minima.
      const std::vector<std::vector<float>> planes = {
          Whole(1, 5, shape.voxels()), Whole(2, 5, shape.voxels()), Whole(3, 5, shape.voxels())};
      std::vector<std::vector<float>> sums(3, std::vector<float>(planes[0].size()));
      const auto around = [&]<typename T>(T* before, T* plane, T* after) {
        return has_z ? Planes<T>{before, plane, after} : Planes<T>{nullptr, plane, nullptr};
      };
      const Planes<const float> volume =
          around(planes[0].data(), planes[1].data(), planes[2].data());
      const Planes<float> sum = around(sums[0].data(), sums[1].data(), sums[2].data());
      std::vector<float> eroded(planes[0].size());
      std::vector<float> dilated(planes[0].size());
      std::vector<float> rows(static_cast<size_t>(6 * shape.x));
      const std::vector<float> gradient = Numbers(4, shape.voxels());
      kernels.erode(shape, volume, eroded.data());
      kernels.dilate(shape, volume, rows.data(), dilated.data());
      kernels.add_erosion_gradient(shape, volume, gradient.data(), rows.data(), sum);
      kernels.subtract_dilation_gradient(shape, volume, dilated.data(), gradient.data(),
                                         rows.data(), sum);
      return Answer{.same = Joined({eroded, dilated, Joined(sums)})};
    });
  }
}

TEST_P(KernelsTest, Skeleton) {
  ExpectAsBaseline<SkeletonKernels>([](const SkeletonKernels& kernels) {
    const std::vector<float> level = Numbers(1);
    const std::vector<float> opened = Numbers(2);
    const std::vector<float> skeleton = Numbers(3);
    const std::vector<float> weight = Numbers(4);
    std::vector<float> next(level.size());
    std::vector<float> gradient = Numbers(5);
    std::vector<float> of_d(level.size());
    kernels.thicken(level.data(), opened.data(), skeleton.data(), kSize, next.data());
    kernels.thicken_gradient(level.data(), opened.data(), skeleton.data(), kSize, gradient.data(),
                             of_d.data());
    Answer answer = {.rounded = Joined({next, gradient, of_d})};
    for (const float* weights : {static_cast<const float*>(nullptr), weight.data()}) {
      std::vector<float> of_other(level.size());
      for (float* of : {static_cast<float*>(nullptr), of_other.data()}) {
        const SkeletonSums sums = kernels.sum(skeleton.data(), opened.data(), weights, kSize, of);
        answer.sums.insert(answer.sums.end(), {sums.within, sums.total});
      }
      kernels.gradient(opened.data(), weights, 0.3, -0.7, kSize, gradient.data());
      answer.rounded = Joined({answer.rounded, of_other, gradient});
    }
    return answer;
  });
}

}  // namespace
}  // namespace lossd
