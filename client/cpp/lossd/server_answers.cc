#include "lossd/server_answers.h"

#include <string>

namespace lossd {
namespace {

using Texts = google::protobuf::RepeatedPtrField<std::string>;

std::vector<std::string> ReadTexts(const Texts& texts) { return {texts.begin(), texts.end()}; }

OptionDescription ReadOption(const v1::OptionInfo& message) {
  return {.name = message.name(),
          .type = message.type(),
          .default_value = message.default_value(),
          .choices = ReadTexts(message.choices()),
          .summary = message.summary(),
          .range = message.range()};
}

LossDescription ReadLoss(const v1::LossInfo& message) {
  LossDescription loss = {.name = message.name(),
                          .summary = message.summary(),
                          .source = message.source(),
                          .call_kind = message.call_kind(),
                          .target_kind = message.target_kind(),
                          .spatial_weight_arg = message.spatial_weight_arg(),
                          .takes_gt_seg = message.takes_gt_seg(),
                          .usable_in_plan = message.usable_in_plan(),
                          .options = {}};
  for (const v1::OptionInfo& option : message.options()) loss.options.push_back(ReadOption(option));
  return loss;
}

}  // namespace

ServerInfo ReadServerInfo(const v1::GetServerInfoResponse& message) {
  std::vector<DeviceInfo> devices;
  for (const v1::Device& device : message.devices()) {
    devices.push_back({.name = device.name(),
                       .description = device.description(),
                       .architecture = device.architecture(),
                       .memory_bytes = device.memory_bytes(),
                       .in_service = device.in_service()});
  }
  return {.version = message.version(),
          .torch_version = message.torch_version(),
          .devices = std::move(devices),
          .threads = message.threads(),
          .max_concurrent_requests = message.max_concurrent_requests(),
          .max_queued_requests = message.max_queued_requests(),
          .max_request_bytes = message.max_request_bytes(),
          .uptime = absl::Seconds(message.uptime_seconds())};
}

std::vector<LossDescription> ReadLosses(const v1::ListLossesResponse& message) {
  std::vector<LossDescription> losses;
  for (const v1::LossInfo& loss : message.losses()) losses.push_back(ReadLoss(loss));
  return losses;
}

PlanCheck ReadPlanCheck(const v1::ValidatePlanResponse& message) {
  PlanCheck check;
  for (const v1::PlanProblem& problem : message.problems()) {
    check.problems.push_back({.field = problem.field(), .message = problem.message()});
  }
  check.explanations = ReadTexts(message.explanations());
  return check;
}

}  // namespace lossd
