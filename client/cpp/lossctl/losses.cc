#include <algorithm>
#include <iostream>
#include <memory>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/types/span.h"
#include "lossctl/command.h"
#include "lossctl/json.h"

namespace lossd {
namespace {

void PrintOne(const LossDescription& loss) {
  std::cout << loss.name << "\n  " << loss.summary << "\n  Source: " << loss.source << "\n"
            << "  Called with: " << loss.call_kind << "; target: " << loss.target_kind
            << "; spatial argument: " << loss.spatial_weight_arg
            << (loss.takes_gt_seg ? "; takes gt_seg" : "") << "\n";
  if (!loss.usable_in_plan) std::cout << "  Not usable in a plan.\n";
  if (!loss.options.empty()) std::cout << "  Options (kwargs):\n";
  for (const OptionDescription& option : loss.options) {
    const std::string type =
        option.choices.empty() ? option.type : absl::StrJoin(option.choices, " | ");
    const std::string value = option.default_value.empty() ? "none" : option.default_value;
    const std::string range = option.range.empty() ? "" : absl::StrCat(", ", option.range);
    std::cout << absl::StreamFormat("    %-24s %s%s, default %s\n      %s\n", option.name, type,
                                    range, value, option.summary);
  }
}

// What a person sees of several.
void PrintList(absl::Span<const LossDescription> losses) {
  for (const LossDescription& loss : losses) {
    std::cout << absl::StreamFormat("%-30s %s\n", loss.name, loss.summary);
  }
}

Json OptionJson(const OptionDescription& option) {
  const std::vector<Json> choices(option.choices.begin(), option.choices.end());
  return Json::Object({{"name", option.name},
                       {"type", option.type},
                       {"default", option.default_value},
                       {"choices", Json::List(choices)},
                       {"range", option.range},
                       {"summary", option.summary}});
}

Json LossJson(const LossDescription& loss) {
  std::vector<Json> options;
  for (const OptionDescription& option : loss.options) options.push_back(OptionJson(option));
  return Json::Object({{"name", loss.name},
                       {"summary", loss.summary},
                       {"source", loss.source},
                       {"call_kind", loss.call_kind},
                       {"target_kind", loss.target_kind},
                       {"spatial_weight_arg", loss.spatial_weight_arg},
                       {"takes_gt_seg", loss.takes_gt_seg},
                       {"usable_in_plan", loss.usable_in_plan},
                       {"options", Json::List(options)}});
}

void PrintJson(absl::Span<const LossDescription> losses) {
  std::vector<Json> list;
  for (const LossDescription& loss : losses) list.push_back(LossJson(loss));
  std::cout << Json::Object({{"losses", Json::List(list)}}).text() << "\n";
}

absl::Status Losses(const Session& session, const std::string& name) {
  const absl::StatusOr<std::shared_ptr<ClientCalls>> client = session.Connect();
  if (!client.ok()) return client.status();
  const absl::StatusOr<std::vector<LossDescription>> losses = (*client)->ListLosses();
  if (!losses.ok()) return losses.status();
  if (name.empty()) {
    session.json ? PrintJson(*losses) : PrintList(*losses);
    return absl::OkStatus();
  }
  const auto found = std::ranges::find_if(*losses, [&name](const LossDescription& loss) {
    return absl::AsciiStrToLower(loss.name) == absl::AsciiStrToLower(name);
  });
  if (found == losses->end()) {
    return absl::NotFoundError(
        absl::StrCat("the server has no loss '", name, "'; `lossctl losses` lists them all"));
  }
  session.json ? PrintJson({*found}) : PrintOne(*found);
  return absl::OkStatus();
}

}  // namespace

void DeclareLosses(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("losses", "The losses that the server computes");
  const auto name = std::make_shared<std::string>();
  command->add_option("NAME", *name, "Show this one with all its options");
  DeclareJson(*command, session);
  DeclareServer(*command, session);
  command->callback([&session, name] { session.status = Losses(session, *name); });
}

}  // namespace lossd
