#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <sstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "lossd/losses/docs.h"
#include "lossd/losses/loss.h"
#include "lossd/losses/pointwise/map_loss.h"
#include "lossd/losses/registry.h"

// What is generated from the list of losses. With LOSSD_WRITE_DOCS in the environment (`make
// docs`), the files are written before they are compared.
namespace lossd {
namespace {

std::string PathOf(absl::string_view file) { return absl::StrCat(LOSSD_SOURCE_DIR, "/", file); }

std::string Read(const std::string& path) {
  const std::ifstream file(path);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void ExpectFile(absl::string_view file, const std::string& expected) {
  if (std::getenv("LOSSD_WRITE_DOCS") != nullptr) std::ofstream(PathOf(file)) << expected;
  EXPECT_EQ(Read(PathOf(file)), expected) << file << " is not what `make docs` writes";
}

// The text with what stands between the two comments of that name replaced.
std::string WithGenerated(std::string text, absl::string_view name, const std::string& generated) {
  const std::string begin = absl::StrCat("<!-- begin generated ", name, " -->\n");
  const std::string end = absl::StrCat("<!-- end generated ", name, " -->\n");
  const size_t from = text.find(begin);
  const size_t to = text.find(end);
  if (from == std::string::npos || to == std::string::npos || to < from) {
    ADD_FAILURE() << "no place for " << name;
    return text;
  }
  return text.replace(from + begin.size(), to - from - begin.size(), generated);
}

TEST(LossesDocTest, TheTablesAreThoseOfTheList) {
  const std::string text = Read(PathOf("docs/losses.md"));
  ExpectFile("docs/losses.md",
             WithGenerated(WithGenerated(text, "losses", LossTable()), "options", OptionTable()));
}

TEST(LossesDocTest, ThePythonSdkHasTheList) {
  ExpectFile("client/python/src/lossd/losses.json", LossesJson());
}

TEST(LossesDocTest, SaysHowALossIsComputed) {
  for (const LossConfig& loss : AllLosses()) {
    const bool in_blocks = dynamic_cast<const MapLoss*>(loss.Make().get()) != nullptr;
    EXPECT_EQ(loss.traits().computed == "blocks", in_blocks) << loss.traits().name;
  }
}

}  // namespace
}  // namespace lossd
