#include <iostream>

#include "absl/strings/str_join.h"
#include "absl/time/time.h"
#include "lossctl/command.h"

namespace lossd {
namespace {

absl::Status Info(const Session& session) {
  const absl::StatusOr<Client> client = session.Connect();
  if (!client.ok()) return client.status();
  const absl::StatusOr<ServerInfo> info = client->GetServerInfo();
  if (!info.ok()) return info.status();
  constexpr double kMebibyte = 1 << 20;
  std::cout << "server               " << session.server << "\n"
            << "version              " << info->version << "\n"
            << "LibTorch             " << info->torch_version << "\n"
            << "devices              " << absl::StrJoin(info->devices, ", ") << "\n"
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
  app.add_subcommand("info", "What the server is: version, threads, limits")->callback([&session] {
    session.status = Info(session);
  });
}

}  // namespace lossd
