#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "lossctl/command.h"
#include "lossctl/json.h"

namespace lossd {
namespace {

// "cuda:0 (NVIDIA H100 80GB HBM3, sm_90, 79.1 GiB)".
void AppendDevice(std::string* out, const DeviceInfo& device) {
  absl::StrAppend(out, device.name, " (");
  if (!device.description.empty()) absl::StrAppend(out, device.description, ", ");
  absl::StrAppend(out, device.architecture);
  constexpr double kGibibyte = 1 << 30;
  if (device.memory_bytes > 0) {
    absl::StrAppendFormat(out, ", %.1f GiB", static_cast<double>(device.memory_bytes) / kGibibyte);
  }
  absl::StrAppend(out, device.in_service ? ")" : ", lost)");
}

Json DeviceJson(const DeviceInfo& device) {
  return Json::Object({{"name", device.name},
                       {"description", device.description},
                       {"architecture", device.architecture},
                       {"memory_bytes", device.memory_bytes},
                       {"in_service", device.in_service}});
}

Json InfoJson(const std::string& server, const ServerInfo& info) {
  std::vector<Json> devices;
  for (const DeviceInfo& device : info.devices) devices.push_back(DeviceJson(device));
  return Json::Object({{"server", server},
                       {"version", info.version},
                       {"torch_version", info.torch_version},
                       {"devices", Json::List(devices)},
                       {"threads", info.threads},
                       {"max_concurrent_requests", info.max_concurrent_requests},
                       {"max_queued_requests", info.max_queued_requests},
                       {"max_request_bytes", info.max_request_bytes},
                       {"uptime_seconds", info.uptime}});
}

absl::Status Info(const Session& session) {
  const absl::StatusOr<std::shared_ptr<ClientCalls>> client = session.Connect();
  if (!client.ok()) return client.status();
  const absl::StatusOr<ServerInfo> info = (*client)->GetServerInfo();
  if (!info.ok()) return info.status();
  if (session.json) {
    std::cout << InfoJson(session.server, *info).text() << "\n";
    return absl::OkStatus();
  }
  constexpr double kMebibyte = 1 << 20;
  std::cout << "server               " << session.server << "\n"
            << "version              " << info->version << "\n"
            << "LibTorch             " << info->torch_version << "\n"
            << "devices              " << absl::StrJoin(info->devices, ", ", AppendDevice) << "\n"
            << "threads              " << info->threads << "\n"
            << "requests at a time   " << info->max_concurrent_requests << "\n"
            << "requests in queue    up to " << info->max_queued_requests << "\n"
            << "largest request      " << static_cast<double>(info->max_request_bytes) / kMebibyte
            << " MiB\n"
            << "up for               " << absl::FormatDuration(info->uptime) << "\n";
  return absl::OkStatus();
}

}  // namespace

void DeclareInfo(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand("info", "What the server is: version, threads, limits");
  DeclareJson(*command, session);
  DeclareServer(*command, session);
  command->callback([&session] { session.status = Info(session); });
}

}  // namespace lossd
