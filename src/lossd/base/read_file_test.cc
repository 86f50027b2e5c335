#include "lossd/base/read_file.h"

#include <gtest/gtest.h>

#include <fstream>
#include <string>

namespace lossd {
namespace {

TEST(ReadFileTest, ReadsAllOfIt) {
  const std::string path = testing::TempDir() + "read_file_test";
  const std::string text("a\n\0\xff", 4);
  std::ofstream(path, std::ios::binary) << text;
  EXPECT_EQ(ReadFile(path).value(), text);
}

TEST(ReadFileTest, NamesWhatCannotBeRead) {
  for (const std::string& path : {testing::TempDir() + "none", testing::TempDir()}) {
    const absl::Status status = ReadFile(path).status();
    EXPECT_FALSE(status.ok());
    EXPECT_NE(status.message().find(path), std::string::npos) << status;
  }
}

}  // namespace
}  // namespace lossd
