#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "google/protobuf/util/json_util.h"
#include "lossd/plan/plan_check.h"
#include "lossd/plan/plan_reader.h"
#include "lossd/wire/plan.h"

namespace lossd {
namespace {

std::string ReadDoc() {
  const std::ifstream file(absl::StrCat(LOSSD_SOURCE_DIR, "/docs/plans.md"));
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

// The code blocks of a Markdown text that begin with ```<language>.
std::vector<std::string> CodeBlocks(const std::string& text, const std::string& language) {
  std::vector<std::string> blocks;
  std::istringstream lines(text);
  std::string line;
  bool within = false;
  bool wanted = false;
  while (std::getline(lines, line)) {
    if (line.starts_with("```")) {
      wanted = !within && line.substr(3) == language;
      if (wanted) blocks.emplace_back();
      within = !within;
    } else if (within && wanted) {
      absl::StrAppend(&blocks.back(), line, "\n");
    }
  }
  return blocks;
}

TEST(PlansDocTest, EveryExampleIsAPlan) {
  const std::string doc = ReadDoc();
  std::vector<Plan> plans;
  for (const std::string language : {"yaml", "json"}) {
    for (const std::string& block : CodeBlocks(doc, language)) {
      const auto plan = ReadPlan(block);
      ASSERT_TRUE(plan.ok()) << plan.status() << "\n" << block;
      plans.push_back(*plan);
    }
  }
  for (const std::string& block : CodeBlocks(doc, "")) {
    v1::PlanSource source;
    ASSERT_TRUE(google::protobuf::util::JsonStringToMessage(block, source.mutable_typed()).ok())
        << block;
    const PlanDocument document = ReadPlanSource(source);
    ASSERT_THAT(document.problems, testing::IsEmpty()) << block;
    plans.push_back(document.plan);
  }
  EXPECT_EQ(plans.size(), 5);
  for (const Plan& plan : plans) {
    CheckedPlan checked;
    EXPECT_THAT(CheckPlan(plan, &checked), testing::IsEmpty());
  }
}

// Every key of a plan or term is explained.
TEST(PlansDocTest, NamesEveryField) {
  const std::string doc = ReadDoc();
  for (const auto* descriptor : {v1::Plan::descriptor(), v1::Term::descriptor(),
                                 v1::Head::descriptor(), v1::LossBalancing::descriptor()}) {
    for (int i = 0; i < descriptor->field_count(); ++i) {
      const std::string& name = descriptor->field(i)->name();
      EXPECT_THAT(doc, testing::HasSubstr(absl::StrCat("`", name, "`")));
    }
  }
}

}  // namespace
}  // namespace lossd
