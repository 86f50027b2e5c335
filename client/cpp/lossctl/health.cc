#include <iostream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lossctl/command.h"
#include "lossctl/json.h"

namespace lossd {
namespace {

// Who probes a server is to learn soon that it does not answer, and asks again.
constexpr absl::Duration kTimeout = absl::Seconds(3);

// An error also where the server says that it does not serve.
absl::Status Health(const Session& session, const std::string& service) {
  ClientOptions options = session.options();
  options.retry_timeout = absl::ZeroDuration();
  if (!session.timeout.has_value()) options.timeout = kTimeout;
  const absl::StatusOr<std::shared_ptr<ClientCalls>> client =
      ClientCalls::Connect(session.server, options);
  if (!client.ok()) return client.status();
  const std::string who =
      absl::StrCat(service.empty() ? "the server" : service, " at ", session.server);
  const absl::StatusOr<bool> serving = (*client)->IsServing(service);
  if (absl::IsNotFound(serving.status())) {
    return absl::NotFoundError(absl::StrCat("there is no ", who));
  }
  if (!serving.ok()) return serving.status();
  if (session.json) {
    std::cout << Json::Object(
                     {{"server", session.server}, {"service", service}, {"serving", *serving}})
                     .text()
              << "\n";
  } else if (*serving) {
    std::cout << "SERVING\n";
  }
  return *serving ? absl::OkStatus()
                  : absl::FailedPreconditionError(absl::StrCat(who, " is NOT_SERVING"));
}

}  // namespace

void DeclareHealth(CLI::App& app, Session& session) {
  CLI::App* command = app.add_subcommand(
      "health", "Whether the server takes calls: exit status 0 if so, for probes");
  const auto service = std::make_shared<std::string>();
  command->add_option("--service", *service,
                      "Ask for this one, as lossd.v1.LossService, instead of the whole server");
  DeclareJson(*command, session);
  DeclareServer(*command, session);
  command->callback([&session, service] { session.status = Health(session, *service); });
}

}  // namespace lossd
