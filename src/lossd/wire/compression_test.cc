#include "lossd/wire/compression.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "lossd/base/error.h"
#include "lossd/wire/tensor.h"

namespace lossd {
namespace {

// Ids of boxes, which repeat themselves, and a few that do not.
at::Tensor Ids(int64_t size) {
  at::manual_seed(size);
  at::Tensor ids = at::arange(size).div(50, "floor").to(at::kShort);
  ids.narrow(0, 0, size / 10).copy_(at::randint(0, 30'000, {size / 10}, at::kShort));
  return ids;
}

at::Tensor Bytes(const at::Tensor& tensor) { return tensor.view(at::kByte).clone(); }

TEST(CompressionTest, LosesNothing) {
  for (const int64_t size : {100, 5000, 4 << 20}) {
    const at::Tensor ids = Ids(size);
    const at::Tensor frame = Compress(ids);
    ASSERT_TRUE(frame.defined());
    EXPECT_LT(frame.numel(), 2 * size / 3);
    const at::Tensor whole = at::empty({2 * size}, at::kByte);
    const absl::Status status = Decompress(frame, whole);
    EXPECT_TRUE(status.ok()) << status;
    EXPECT_TRUE(at::equal(whole, Bytes(ids)));
  }
}

TEST(CompressionTest, LeavesWhatDoesNotGetSmaller) {
  EXPECT_FALSE(Compress(at::randint(0, 256, {100'000}, at::kByte)).defined());
}

TEST(CompressionTest, RefusesWhatIsNoFrameOfThatSize) {
  const at::Tensor frame = Compress(Ids(5000));
  const auto fails = [](const at::Tensor& bytes, int64_t size) {
    const at::Tensor whole = at::empty({size}, at::kByte);
    return ErrorField(Decompress(bytes, whole)) == "data";
  };
  EXPECT_FALSE(fails(frame, 10'000));
  EXPECT_TRUE(fails(frame, 9'999));
  EXPECT_TRUE(fails(frame, 10'001));
  for (const int64_t cut : {int64_t{1}, int64_t{4}, int64_t{30}, frame.numel() - 1}) {
    EXPECT_TRUE(fails(frame.narrow(0, 0, cut).clone(), 10'000)) << cut;
  }
  EXPECT_TRUE(fails(at::cat({frame, frame}), 10'000));
  EXPECT_TRUE(fails(at::cat({frame, at::zeros({1}, at::kByte)}), 10'000));
  EXPECT_TRUE(fails(at::zeros({100}, at::kByte), 10'000));
}

// Whatever is done to a frame, it decompresses or it does not, and nothing is written elsewhere.
TEST(CompressionTest, SurvivesEveryChangedByte) {
  const at::Tensor frame = Compress(Ids(600));
  for (int64_t i = 0; i < frame.numel(); ++i) {
    at::Tensor spoilt = frame.clone();
    spoilt[i] = 255 - spoilt[i];
    const at::Tensor whole = at::empty({1200}, at::kByte);
    const absl::Status status = Decompress(spoilt, whole);
    EXPECT_TRUE(status.ok() || ErrorField(status) == "data") << i << ": " << status;
  }
}

// ---- In a message.

v1::Tensor Compressed() {
  const at::Tensor ids = Ids(5000);
  v1::Tensor message;
  EXPECT_TRUE(DescribeOnWire(ids.to(at::kLong), &message).ok());
  message.set_encoding(v1::ENCODING_UINT16);
  message.set_compression(v1::COMPRESSION_LZ4);
  const at::Tensor frame = Compress(ids);
  message.set_data(frame.const_data_ptr(), frame.nbytes());
  message.set_compressed_bytes(frame.nbytes());
  return message;
}

TEST(CompressionTest, ComesAfterTheEncoding) {
  const absl::StatusOr<at::Tensor> read = FromWire(Compressed());
  ASSERT_TRUE(read.ok()) << read.status();
  EXPECT_TRUE(at::equal(*read, Ids(5000).to(at::kLong)));
}

TEST(CompressionTest, SaysItsSizeInTheHeader) {
  const v1::Tensor good = Compressed();
  EXPECT_EQ(DataBytes(good).value(), static_cast<int64_t>(good.data().size()));
  const auto field_of = [&](auto spoil) {
    v1::Tensor message = good;
    spoil(message);
    return ErrorField(FromWire(message).status());
  };
  EXPECT_EQ(field_of([](v1::Tensor& m) { m.set_compressed_bytes(0); }), "compressed_bytes");
  EXPECT_EQ(field_of([](v1::Tensor& m) { m.set_compressed_bytes(10'000); }), "compressed_bytes");
  EXPECT_EQ(field_of([](v1::Tensor& m) { m.set_compressed_bytes(UINT64_MAX); }),
            "compressed_bytes");
  EXPECT_EQ(field_of([](v1::Tensor& m) { m.set_compression(v1::COMPRESSION_UNSPECIFIED); }),
            "compressed_bytes");
  EXPECT_EQ(field_of([](v1::Tensor& m) { m.set_compression(static_cast<v1::Compression>(7)); }),
            "compression");
  EXPECT_EQ(field_of([](v1::Tensor& m) { m.mutable_data()->pop_back(); }), "data");
  EXPECT_EQ(field_of([](v1::Tensor& m) { m.set_shape(0, 5001); }), "data");
}

}  // namespace
}  // namespace lossd
