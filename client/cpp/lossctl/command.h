#ifndef LOSSCTL_COMMAND_H_
#define LOSSCTL_COMMAND_H_

#include <CLI/CLI.hpp>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "lossd/client.h"

namespace lossd {

// What the subcommands of lossctl share.
struct Session {
  // Where the server is.
  std::string server = "localhost:50051";
  // What became of the subcommand; set by it.
  absl::Status status;

  // How tensors travel.
  Transport transport = Transport::kAuto;

  // Whether it talks over TLS; always if `tls_files` says more of it.
  bool tls = false;
  TlsOptions tls_files;
  // What lets it in, unless there is a file of it; nothing where both are empty.
  std::string token;
  std::string token_file;

  absl::StatusOr<Client> Connect() const;
};

// Declares the flags that say how it gets to the server, and by which right, for all commands; both
// must outlive the parse.
void DeclareServer(CLI::App& app, Session& session);

// Declares the flag that says how tensors travel; both must outlive the parse.
void DeclareTransport(CLI::App& command, Session& session);

// The word for it.
std::string TransportName(Transport transport);

// Each declares a subcommand of `app` that works in `session`; both must outlive the parse.

// What the server is.
void DeclareInfo(CLI::App& app, Session& session);
// The losses it computes and their options.
void DeclareLosses(CLI::App& app, Session& session);
// What a plan means, or what is wrong with it.
void DeclareCheckPlan(CLI::App& app, Session& session);
// Losses and gradients of .npy files.
void DeclareCompute(CLI::App& app, Session& session);
// How fast the server is.
void DeclareBench(CLI::App& app, Session& session);
// MALIS weights of .npy files, without a server.
void DeclareMalis(CLI::App& app, Session& session);

}  // namespace lossd

#endif  // LOSSCTL_COMMAND_H_
