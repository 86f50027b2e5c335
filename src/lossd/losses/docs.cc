#include "lossd/losses/docs.h"

#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "lossd/base/words.h"
#include "lossd/losses/registry.h"

namespace lossd {
namespace {

std::string Row(const std::vector<std::string>& cells) {
  return absl::StrCat("| ", absl::StrJoin(cells, " | "), " |\n");
}

std::string Head(const std::vector<std::string>& cells) {
  return absl::StrCat(Row(cells), Row(std::vector<std::string>(cells.size(), "---")));
}

// Text in which a bar does not end the cell.
std::string Cell(absl::string_view text) { return absl::StrReplaceAll(text, {{"|", "\\|"}}); }

std::string Code(absl::string_view text) { return absl::StrCat("`", text, "`"); }

// The options that may be set.
OptionList Settable(LossConfig& loss) {
  OptionList options = loss.Options();
  std::erase_if(options, [](const Option& option) {
    return std::holds_alternative<FunctionField>(option.field);
  });
  return options;
}

// What an option may be: words, a range or a type.
std::string Values(const Option& option) {
  if (const auto* word = std::get_if<WordField>(&option.field); word != nullptr) {
    return absl::StrJoin(word->words(), ", ");
  }
  return option.range.text == kAnyNumber.text
             ? TypeOf(option)
             : absl::StrCat(TypeOf(option), ": ", option.range.text);
}

std::string Json(const OptionValue& value) {
  if (std::holds_alternative<std::monostate>(value)) return "null";
  const std::string text = TextOf(value);
  return std::holds_alternative<std::string>(value) ? absl::StrCat("\"", text, "\"") : text;
}

// An object of entries, at that depth.
std::string JsonObject(const std::vector<std::string>& entries, int depth) {
  if (entries.empty()) return "{}";
  const std::string line = absl::StrCat("\n", std::string(depth, ' '));
  return absl::StrCat("{", line, " ", absl::StrJoin(entries, absl::StrCat(",", line, " ")), line,
                      "}");
}

std::string JsonEntry(absl::string_view key, absl::string_view value) {
  return absl::StrCat("\"", key, "\": ", value);
}

std::string JsonOf(LossConfig loss) {
  const LossTraits& traits = loss.traits();
  std::vector<std::string> options;
  for (const Option& option : Settable(loss)) {
    options.push_back(JsonEntry(option.name, Json(ValueOf(option))));
  }
  const bool weighted = traits.spatial_weight_arg != SpatialWeightArg::kNone;
  const auto word = [](const auto& value) { return Json(Word(value)); };
  return JsonObject(
      {JsonEntry("call_kind", word(traits.call_kind)),
       JsonEntry("target_kind", word(traits.target_kind)),
       JsonEntry("spatial_weight_arg", weighted ? word(traits.spatial_weight_arg) : "null"),
       JsonEntry("takes_gt_seg", Json(traits.takes_gt_seg)),
       JsonEntry("usable_in_plan", Json(traits.usable_in_plan)),
       JsonEntry("options", JsonObject(options, 2))},
      1);
}

}  // namespace

std::string LossTable() {
  std::string table =
      Head({"loss", "call kind", "target", "weight argument", "computed", "definition"});
  for (const LossConfig& loss : AllLosses()) {
    const LossTraits& traits = loss.traits();
    const auto in_plans = [&](const auto& kind) {
      return traits.usable_in_plan ? Word(kind) : std::string("–");
    };
    absl::StrAppend(&table, Row({Code(traits.name), in_plans(traits.call_kind),
                                 in_plans(traits.target_kind), in_plans(traits.spatial_weight_arg),
                                 std::string(traits.computed), Cell(traits.definition)}));
  }
  return table;
}

std::string OptionTable() {
  std::string table = Head({"loss", "option", "default", "values", "meaning"});
  for (LossConfig loss : AllLosses()) {
    for (const Option& option : Settable(loss)) {
      const std::string value = TextOf(ValueOf(option));
      absl::StrAppend(
          &table, Row({Code(loss.traits().name), Code(option.name), value.empty() ? "none" : value,
                       Cell(Values(option)), Cell(option.summary)}));
    }
  }
  return table;
}

std::string LossesJson() {
  std::vector<std::string> losses;
  for (const LossConfig& loss : AllLosses()) {
    losses.push_back(JsonEntry(loss.traits().name, JsonOf(loss)));
  }
  return JsonObject(losses, 0) + "\n";
}

}  // namespace lossd
