#include <iostream>
#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lossctl/command.h"
#include "lossctl/json.h"
#include "lossctl/plan_file.h"

namespace lossd {
namespace {

void Print(const PlanCheck& check) {
  for (const PlanProblem& problem : check.problems) std::cout << problem.message << "\n";
  for (const std::string& sentence : check.explanations) std::cout << sentence << "\n";
}

void PrintJson(const PlanCheck& check) {
  std::vector<Json> problems;
  for (const PlanProblem& problem : check.problems) {
    problems.push_back(Json::Object({{"field", problem.field}, {"message", problem.message}}));
  }
  const std::vector<Json> explanations(check.explanations.begin(), check.explanations.end());
  std::cout << Json::Object(
                   {{"problems", Json::List(problems)}, {"explanations", Json::List(explanations)}})
                   .text()
            << "\n";
}

absl::Status CheckPlan(const Session& session, const std::string& path) {
  const absl::StatusOr<std::string> text = ReadPlanFile(path);
  if (!text.ok()) return text.status();
  const absl::StatusOr<std::shared_ptr<ClientCalls>> client = session.Connect();
  if (!client.ok()) return client.status();
  const absl::StatusOr<PlanCheck> check = (*client)->ValidatePlan(*text);
  if (!check.ok()) return check.status();
  session.json ? PrintJson(*check) : Print(*check);
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
  DeclareJson(*command, session);
  DeclareServer(*command, session);
  command->callback([&session, path] { session.status = CheckPlan(session, *path); });
}

}  // namespace lossd
