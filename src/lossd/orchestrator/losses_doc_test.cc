#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "lossd/losses/map_loss.h"
#include "lossd/losses/registry.h"
#include "lossd/orchestrator/vocabulary.h"

namespace lossd {
namespace {

using ::google::protobuf::FieldDescriptor;

// The cells of the table of losses, by the name of the loss.
std::map<std::string, std::vector<std::string>> ReadTable() {
  std::ifstream file(absl::StrCat(LOSSD_SOURCE_DIR, "/docs/losses.md"));
  std::map<std::string, std::vector<std::string>> rows;
  for (std::string line; std::getline(file, line);) {
    // A bar within a cell is written with a backslash.
    const std::string text = absl::StrReplaceAll(line, {{"\\|", "¦"}});
    std::vector<std::string> cells = absl::StrSplit(text, '|');
    for (std::string& cell : cells) absl::StripAsciiWhitespace(&cell);
    if (cells.size() == 9 && absl::StartsWith(cells[1], "`")) {
      rows[absl::StrReplaceAll(cells[1], {{"`", ""}})] = cells;
    }
  }
  return rows;
}

std::string DefaultText(const FieldDescriptor& field) {
  if (!field.has_default_value()) return "none";
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return field.default_value_bool() ? "true" : "false";
    case FieldDescriptor::CPPTYPE_ENUM:
      return Word(*field.default_value_enum());
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat(field.default_value_int64());
    default:
      return absl::StrCat(field.default_value_double());
  }
}

// "`gamma` 2, `alpha` none".
std::string OptionsText(const google::protobuf::Descriptor& options) {
  std::vector<std::string> texts;
  for (int i = 0; i < options.field_count(); ++i) {
    const FieldDescriptor& field = *options.field(i);
    texts.push_back(absl::StrCat("`", field.name(), "` ", DefaultText(field)));
  }
  return texts.empty() ? "–" : absl::StrJoin(texts, ", ");
}

TEST(LossesDocTest, TheTableIsThatOfTheRegistry) {
  const auto rows = ReadTable();
  EXPECT_EQ(rows.size(), AllLosses().size());
  const auto& oneof = *v1::LossOptions::descriptor()->FindOneofByName("loss");
  for (int i = 0; i < oneof.field_count(); ++i) {
    v1::LossOptions options;
    options.GetReflection()->MutableMessage(&options, oneof.field(i));
    const LossTraits& loss = *FindLoss(LossName(options));
    const auto row = rows.find(std::string(loss.name));
    ASSERT_NE(row, rows.end()) << loss.name;
    const std::vector<std::string>& cells = row->second;
    EXPECT_EQ(cells[2], loss.usable_in_plan ? Word(loss.call_kind) : "–") << loss.name;
    EXPECT_EQ(cells[3], loss.usable_in_plan ? Word(loss.target_kind) : "–") << loss.name;
    EXPECT_EQ(cells[4], loss.usable_in_plan ? Word(loss.spatial_weight_arg) : "–") << loss.name;
    const auto made = loss.create(options);
    ASSERT_TRUE(made.ok());
    const bool in_blocks = dynamic_cast<const MapLoss*>(made->get()) != nullptr;
    EXPECT_EQ(cells[5] == "blocks", in_blocks) << loss.name;
    EXPECT_EQ(cells[7], OptionsText(*oneof.field(i)->message_type())) << loss.name;
  }
}

}  // namespace
}  // namespace lossd
