#include "lossd/compute/crop_origin.h"

#include <gtest/gtest.h>

#include <map>

namespace lossd {
namespace {

// The values of the generator's reference implementation (prng.di.unimi.it/splitmix64.c).
TEST(CropOriginDrawTest, IsSplitMix64) {
  CropOriginDraw draw(1234567);
  for (const uint64_t bits : {6457827717110365317U, 3203168211198807973U, 9817491932198370423U,
                              4593380528125082431U, 16408922859458223821U}) {
    EXPECT_EQ(draw.NextBits(), bits);
  }
}

TEST(CropOriginDrawTest, DrawsZThenYThenX) {
  CropOriginDraw bits(5);
  CropOriginDraw draw(5);
  const VoxelIndex first = draw.Next({100, 50, 20}, {1, 1, 1});
  EXPECT_EQ(first[0], bits.NextBits() % 100);
  EXPECT_EQ(first[1], bits.NextBits() % 50);
  EXPECT_EQ(first[2], bits.NextBits() % 20);
  EXPECT_EQ(draw.Next({100, 50, 20}, {1, 1, 1})[0], bits.NextBits() % 100);
}

TEST(CropOriginDrawTest, IsUniformOverTheValidPlaces) {
  CropOriginDraw draw(1);
  std::map<VoxelIndex, int> seen;
  constexpr int kDraws = 24'000;
  for (int i = 0; i < kDraws; ++i) ++seen[draw.Next({5, 4, 7}, {4, 1, 5})];
  EXPECT_EQ(seen.size(), 2 * 4 * 3);
  for (const auto& [origin, count] : seen) {
    EXPECT_LE(origin[0], 1);
    EXPECT_LE(origin[1], 3);
    EXPECT_LE(origin[2], 2);
    // Binomial with mean 1000 and deviation 31.
    EXPECT_NEAR(count, kDraws / 24.0, 160);
  }
}

TEST(CropOriginDrawTest, ACropOfTheWholeVolumeHasOnePlace) {
  CropOriginDraw draw(9);
  EXPECT_EQ(draw.Next({3, 4, 5}, {3, 4, 5}), (VoxelIndex{0, 0, 0}));
}

}  // namespace
}  // namespace lossd
