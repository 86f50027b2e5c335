#ifndef LOSSCTL_COMMAND_H_
#define LOSSCTL_COMMAND_H_

#include <CLI/CLI.hpp>
#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lossctl/tensor_commands.h"
#include "lossd/client_calls.h"
#include "lossd/client_options.h"

namespace lossd {

// What the subcommands of lossctl share.
struct Session {
  // Where the server is.
  std::string server = "localhost:50051";
  // Bound on each call, in seconds; the SDK's own without one.
  std::optional<double> timeout;
  // Whether to print JSON, for programs.
  bool json = false;
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

  // As the environment's LOSSD_ variables say.
  static Session FromEnvironment();

  ClientOptions options() const;
  // For what needs no tensors.
  absl::StatusOr<std::shared_ptr<ClientCalls>> Connect() const;
};

// Each declares flags of a command, or of all, which set what `session` has of them; both must
// outlive the parse.

// How it gets to the server, how long it waits, and by which right it is let in.
void DeclareServer(CLI::App& command, Session& session);
// How tensors travel.
void DeclareTransport(CLI::App& command, Session& session);
// That it prints JSON.
void DeclareJson(CLI::App& command, Session& session);

// The word for it.
std::string TransportName(Transport transport);

// Each declares a subcommand of `app` that works in `session`; both must outlive the parse.

// What the server is.
void DeclareInfo(CLI::App& app, Session& session);
// Whether it takes calls.
void DeclareHealth(CLI::App& app, Session& session);
// The losses it computes and their options.
void DeclareLosses(CLI::App& app, Session& session);
// What a plan means, or what is wrong with it.
void DeclareCheckPlan(CLI::App& app, Session& session);
// Losses and gradients of .npy files.
void DeclareCompute(CLI::App& app, Session& session, TensorCommand<ComputeFlags> compute);
// How fast the server is.
void DeclareBench(CLI::App& app, Session& session, TensorCommand<BenchFlags> bench);
// MALIS weights of .npy files, without a server.
void DeclareMalis(CLI::App& app, Session& session, TensorCommand<MalisFlags> malis);

}  // namespace lossd

#endif  // LOSSCTL_COMMAND_H_
