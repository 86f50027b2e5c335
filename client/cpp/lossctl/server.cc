#include <cstdlib>
#include <optional>

#include "absl/time/time.h"
#include "lossctl/command.h"

namespace lossd {

absl::StatusOr<Client> Session::Connect() const {
  const bool files = !tls_files.root_certificates_file.empty() ||
                     !tls_files.certificate_file.empty() || !tls_files.key_file.empty() ||
                     !tls_files.server_name.empty();
  return Client::Connect(server,
                         {.connect_timeout = absl::Seconds(3),  // A person waits: not for long.
                          .transport = transport,
                          .tls = tls || files ? std::optional<TlsOptions>(tls_files) : std::nullopt,
                          .token = token_file.empty() ? token : "",
                          .token_file = token_file});
}

void DeclareServer(CLI::App& app, Session& session) {
  app.add_option("--server", session.server, "The server's address")->capture_default_str();
  app.add_flag("--tls", session.tls, "Talk over TLS, with the authorities that gRPC brings along")
      ->envname("LOSSD_TLS");
  app.add_option("--tls-ca", session.tls_files.root_certificates_file,
                 "The same with the authorities in this PEM file")
      ->envname("LOSSD_TLS_CA");
  app.add_option("--tls-cert", session.tls_files.certificate_file,
                 "PEM file of your certificate, where the server asks for one")
      ->envname("LOSSD_TLS_CERT");
  app.add_option("--tls-key", session.tls_files.key_file, "PEM file of its key")
      ->envname("LOSSD_TLS_KEY");
  app.add_option("--tls-server-name", session.tls_files.server_name,
                 "What the server's certificate must be for, if not the host of its address")
      ->envname("LOSSD_TLS_SERVER_NAME");
  app.add_option("--token-file", session.token_file,
                 "File of the token that lets you in, where the server asks for one; else the "
                 "environment's LOSSD_TOKEN")
      ->envname("LOSSD_TOKEN_FILE");
  // A secret is nothing for a command line, which others can see.
  if (const char* token = std::getenv("LOSSD_TOKEN"); token != nullptr) session.token = token;
}

}  // namespace lossd
