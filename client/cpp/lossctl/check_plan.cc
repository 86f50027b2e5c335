#include <iostream>
#include <memory>

#include "absl/strings/str_cat.h"
#include "lossctl/command.h"
#include "lossctl/plan_file.h"

namespace lossd {
namespace {

absl::Status CheckPlan(const Session& session, const std::string& path) {
  const absl::StatusOr<std::string> text = ReadPlanFile(path);
  if (!text.ok()) return text.status();
  const absl::StatusOr<Client> client = session.Connect();
  if (!client.ok()) return client.status();
  const absl::StatusOr<PlanCheck> check = client->ValidatePlan(*text);
  if (!check.ok()) return check.status();
  for (const PlanProblem& problem : check->problems) std::cout << problem.message << "\n";
  for (const std::string& sentence : check->explanations) std::cout << sentence << "\n";
  if (check->problems.empty()) return absl::OkStatus();
  const size_t count = check->problems.size();
  return absl::InvalidArgumentError(
      absl::StrCat(path, ": ", count, count == 1 ? " mistake" : " mistakes"));
}

}  // namespace

void DeclareCheckPlan(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand(
      "check-plan", "What each term of a plan does and needs, or what is wrong with the plan");
  const auto path = std::make_shared<std::string>();
  command->add_option("FILE", *path, "The plan or training config, in YAML or JSON")->required();
  command->callback([&session, path] { session.status = CheckPlan(session, *path); });
}

}  // namespace lossd
