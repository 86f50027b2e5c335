#include <algorithm>
#include <cstdlib>
#include <optional>

#include "absl/strings/numbers.h"
#include "absl/time/time.h"
#include "lossctl/command.h"

namespace lossd {
namespace {

// A person waits: not for long.
constexpr absl::Duration kConnectTimeout = absl::Seconds(3);

constexpr char kServerGroup[] = "Server";

std::string Environment(const char* name, const std::string& otherwise = "") {
  const char* value = std::getenv(name);
  return value == nullptr || *value == '\0' ? otherwise : value;
}

}  // namespace

Session Session::FromEnvironment() {
  Session session;
  session.server = Environment("LOSSD_ADDRESS", session.server);
  // What is no word for false is true: to talk in plain text, one has to say so.
  const std::string word = Environment("LOSSD_TLS");
  const bool known = absl::SimpleAtob(word, &session.tls);
  if (!known) session.tls = !word.empty();
  if (!known || session.tls) {
    session.tls_files = {.root_certificates_file = Environment("LOSSD_TLS_CA"),
                         .certificate_file = Environment("LOSSD_TLS_CERT"),
                         .key_file = Environment("LOSSD_TLS_KEY"),
                         .server_name = Environment("LOSSD_TLS_SERVER_NAME")};
  }
  // A secret is nothing for a command line, which others can see.
  session.token = Environment("LOSSD_TOKEN");
  session.token_file = Environment("LOSSD_TOKEN_FILE");
  return session;
}

ClientOptions Session::options() const {
  const bool files = !tls_files.root_certificates_file.empty() ||
                     !tls_files.certificate_file.empty() || !tls_files.key_file.empty() ||
                     !tls_files.server_name.empty();
  ClientOptions options = {
      .connect_timeout = kConnectTimeout,
      .transport = transport,
      .tls = tls || files ? std::optional<TlsOptions>(tls_files) : std::nullopt,
      .token = token_file.empty() ? token : "",
      .token_file = token_file};
  if (timeout.has_value()) {
    options.timeout = absl::Seconds(*timeout);
    options.connect_timeout = std::min(options.connect_timeout, options.timeout);
  }
  return options;
}

absl::StatusOr<std::shared_ptr<ClientCalls>> Session::Connect() const {
  return ClientCalls::Connect(server, options());
}

void DeclareServer(CLI::App& command, Session& session) {
  command
      .add_option("--server", session.server,
                  "The server's address, or several with commas in between (LOSSD_ADDRESS)")
      ->type_name("ADDRESS")
      ->capture_default_str()
      ->group(kServerGroup);
  command
      .add_option("--timeout", session.timeout,
                  "Give a call up after so many seconds, attempts to repeat it included (600)")
      ->type_name("SECONDS")
      ->check(CLI::Range(1e-3, 1e6))
      ->group(kServerGroup);
  command
      .add_flag("--tls", session.tls,
                "Talk over TLS, with the authorities that gRPC brings along (LOSSD_TLS)")
      ->group(kServerGroup);
  const auto add_file = [&command](const char* flag, std::string& file, const char* description) {
    command.add_option(flag, file, description)->type_name("FILE")->group(kServerGroup);
  };
  add_file("--tls-ca", session.tls_files.root_certificates_file,
           "The same with the authorities in this PEM file (LOSSD_TLS_CA)");
  add_file("--tls-cert", session.tls_files.certificate_file,
           "PEM file of your certificate, where the server asks for one (LOSSD_TLS_CERT)");
  add_file("--tls-key", session.tls_files.key_file, "PEM file of its key (LOSSD_TLS_KEY)");
  command
      .add_option("--tls-server-name", session.tls_files.server_name,
                  "What the server's certificate must be for, if not the host of its address "
                  "(LOSSD_TLS_SERVER_NAME)")
      ->type_name("NAME")
      ->group(kServerGroup);
  add_file("--token-file", session.token_file,
           "File of the token that lets you in, where the server asks for one (LOSSD_TOKEN_FILE, "
           "or the token itself in LOSSD_TOKEN)");
}

void DeclareJson(CLI::App& command, Session& session) {
  command.add_flag("--json", session.json, "Print one JSON object, for programs (docs/cpp.md)");
}

}  // namespace lossd
