#include "lossd/tensor/npy.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"

namespace lossd {
namespace {

using testing::HasSubstr;

std::string TempPath(absl::string_view name) {
  return absl::StrCat(testing::TempDir(), "npy_test_", getpid(), "_", name);
}

// Writes a file as NumPy's format description says, and reads it.
absl::StatusOr<at::Tensor> ReadBytes(const std::string& bytes) {
  const std::string path = TempPath("bytes.npy");
  std::ofstream(path, std::ios::binary) << bytes;
  return ReadNpy(path);
}

std::string Version1(const std::string& header, const std::string& data) {
  const auto size = static_cast<uint16_t>(header.size());
  return absl::StrCat(absl::string_view("\x93NUMPY\1\0", 8),
                      absl::string_view(reinterpret_cast<const char*>(&size), 2), header, data);
}

void ExpectRefused(const std::string& bytes, const std::string& text) {
  const absl::StatusOr<at::Tensor> tensor = ReadBytes(bytes);
  ASSERT_FALSE(tensor.ok());
  EXPECT_EQ(tensor.status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_THAT(std::string(tensor.status().message()), HasSubstr("bytes.npy: "));
  EXPECT_THAT(std::string(tensor.status().message()), HasSubstr(text));
}

class NpyDTypeTest : public testing::TestWithParam<at::ScalarType> {};

TEST_P(NpyDTypeTest, RoundTrips) {
  const at::Tensor tensor =
      at::tensor({0, 1, 1, 0, 1, 1}, at::kLong).view({1, 2, 3}).to(GetParam());
  const std::string path = TempPath("dtype.npy");
  ASSERT_TRUE(WriteNpy(path, tensor).ok());
  const absl::StatusOr<at::Tensor> back = ReadNpy(path);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_EQ(back->scalar_type(), GetParam());
  EXPECT_EQ(back->sizes(), tensor.sizes());
  EXPECT_TRUE(at::equal(back->to(at::kLong), tensor.to(at::kLong)));
}

INSTANTIATE_TEST_SUITE_P(DTypes, NpyDTypeTest,
                         testing::Values(at::kBool, at::kByte, at::kChar, at::kUInt16, at::kShort,
                                         at::kUInt32, at::kInt, at::kUInt64, at::kLong, at::kHalf,
                                         at::kFloat, at::kDouble),
                         [](const auto& param) { return c10::toString(param.param); });

class NpyShapeTest : public testing::TestWithParam<std::vector<int64_t>> {};

TEST_P(NpyShapeTest, RoundTripsWithAlignedData) {
  const at::Tensor tensor = at::rand(GetParam());
  const std::string path = TempPath("shape.npy");
  ASSERT_TRUE(WriteNpy(path, tensor).ok());
  const absl::StatusOr<at::Tensor> back = ReadNpy(path);
  ASSERT_TRUE(back.ok()) << back.status();
  EXPECT_TRUE(at::equal(*back, tensor));
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  EXPECT_EQ((static_cast<size_t>(file.tellg()) - tensor.nbytes()) % 64, 0);
}

INSTANTIATE_TEST_SUITE_P(Shapes, NpyShapeTest,
                         testing::Values(std::vector<int64_t>{}, std::vector<int64_t>{5},
                                         std::vector<int64_t>{0, 3},
                                         std::vector<int64_t>{2, 3, 4, 5, 6}));

TEST(ReadNpyTest, ReadsWhatNumpyWrites) {
  // np.save(…, np.array([1, 2], np.uint8))
  const absl::StatusOr<at::Tensor> tensor = ReadBytes(
      Version1("{'descr': '|u1', 'fortran_order': False, 'shape': (2,), }     \n", "\1\2"));
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_TRUE(at::equal(*tensor, at::tensor({1, 2}, at::kByte)));
}

TEST(ReadNpyTest, ReadsFortranOrder) {
  const absl::StatusOr<at::Tensor> tensor = ReadBytes(
      Version1("{'descr': '|u1', 'fortran_order': True, 'shape': (2, 3), }\n", "\1\2\3\4\5\6"));
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_TRUE(at::equal(*tensor, at::tensor({1, 3, 5, 2, 4, 6}, at::kByte).view({2, 3})));
}

TEST(ReadNpyTest, ReadsVersion2AndKeysInAnyOrder) {
  const std::string header = "{\"shape\": (), \"descr\": \"<f4\", \"fortran_order\": False}\n";
  const auto size = static_cast<uint32_t>(header.size());
  const float value = 2.5F;
  const absl::StatusOr<at::Tensor> tensor =
      ReadBytes(absl::StrCat(absl::string_view("\x93NUMPY\2\0", 8),
                             absl::string_view(reinterpret_cast<const char*>(&size), 4), header,
                             absl::string_view(reinterpret_cast<const char*>(&value), 4)));
  ASSERT_TRUE(tensor.ok()) << tensor.status();
  EXPECT_EQ(tensor->dim(), 0);
  EXPECT_EQ(tensor->item<float>(), 2.5F);
}

TEST(ReadNpyTest, SaysWhichFileIsMissing) {
  const absl::StatusOr<at::Tensor> tensor = ReadNpy("/nowhere/x.npy");
  EXPECT_EQ(tensor.status().code(), absl::StatusCode::kNotFound);
  EXPECT_THAT(std::string(tensor.status().message()), HasSubstr("/nowhere/x.npy"));
}

TEST(ReadNpyTest, RefusesWhatIsNoNpyFile) {
  ExpectRefused("", "ends too early");
  ExpectRefused("PK\3\4 an .npz file, for example", "not a .npy file");
  ExpectRefused(std::string("\x93NUMPY\4\0\0\0\0\0", 12), "format version 1 to 3");
  ExpectRefused(std::string("\x93NUMPY\2\0\xff\xff\xff\xff", 12), "malformed");
}

TEST(ReadNpyTest, RefusesMalformedHeaders) {
  const std::string data = "\1\2";
  for (const std::string header :
       {"", "{", "{}", "{'descr'", "{'descr': '|u1'}", "{'shape': (2,), 'fortran_order': False}",
        "{'descr': '|u1', 'fortran_order': 0, 'shape': (2,), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2, }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (-2,), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (99999999999999999999,), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), 'more': 1}",
        "{'descr': '|u1', 'descr': '|u1', 'fortran_order': False, 'shape': (2,), }",
        "{'descr': '|u1', 'fortran_order': False, 'shape': (2,), } x",
        "{'descr': [('a', '<i4')], 'fortran_order': False, 'shape': (2,), }"}) {
    EXPECT_FALSE(ReadBytes(Version1(header, data)).ok()) << header;
  }
}

TEST(ReadNpyTest, NamesDTypesItDoesNotRead) {
  ExpectRefused(Version1("{'descr': '>f4', 'fortran_order': False, 'shape': (), }", "1234"),
                "'>f4' is not supported");
}

TEST(ReadNpyTest, RefusesDataOfAnotherSize) {
  const auto file = [](const std::string& shape, const std::string& data) {
    return Version1("{'descr': '|u1', 'fortran_order': False, 'shape': " + shape + ", }", data);
  };
  ExpectRefused(file("(3,)", "12"), "shape (3) does not fit 2 bytes");
  ExpectRefused(file("(1,)", "12"), "does not fit");
  ExpectRefused(file("(4294967296, 4294967296)", ""), "does not fit");
}

TEST(WriteNpyTest, WritesStridedTensorsAndBfloat16) {
  const at::Tensor tensor = at::arange(6, at::kBFloat16).view({2, 3}).t();
  const std::string path = TempPath("strided.npy");
  ASSERT_TRUE(WriteNpy(path, tensor).ok());
  EXPECT_TRUE(at::equal(*ReadNpy(path), tensor.to(at::kFloat)));
}

TEST(WriteNpyTest, SaysWhereItCannotWrite) {
  const absl::Status status = WriteNpy("/nowhere/x.npy", at::zeros({1}));
  EXPECT_THAT(std::string(status.message()), HasSubstr("/nowhere/x.npy"));
}

}  // namespace
}  // namespace lossd
