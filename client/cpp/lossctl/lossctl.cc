#include "lossctl/lossctl.h"

#include <CLI/CLI.hpp>
#include <cstdlib>
#include <iostream>

#include "absl/status/status.h"
#include "lossctl/command.h"
#include "lossctl/completion.h"
#include "lossd/rpc_error.h"

namespace lossd {
namespace {

constexpr char kDescription[] =
    "lossctl: asks a lossd server for losses and gradients, and about itself.\n"
    "`lossctl COMMAND --help` tells more about a command. The exit status is 0 on success.";

// What a person can do about an error, where there is something.
const char* Hint(const absl::Status& status) {
  if (absl::IsUnavailable(status)) return "Is the server running? --server says where to look.";
  if (absl::IsUnauthenticated(status)) return "--token-file names a file with your token.";
  if (RetryDelay(status).has_value()) return "The server is busy: try again later.";
  return "";
}

}  // namespace

int Lossctl(int argc, char** argv, const TensorCommands& commands) {
  CLI::App app(kDescription, "lossctl");
  Session session = Session::FromEnvironment();
  app.set_version_flag("--version", LOSSD_VERSION);
  DeclareServer(app, session);
  // At most: an unknown command is to be named, which CLI11 does not do where one is required.
  app.require_subcommand(0, 1);
  app.fallthrough();
  DeclareInfo(app, session);
  DeclareHealth(app, session);
  DeclareLosses(app, session);
  DeclareCheckPlan(app, session);
  DeclareCompute(app, session, commands.compute);
  DeclareBench(app, session, commands.bench);
  DeclareMalis(app, session, commands.malis);
  DeclareCompletion(app, session);
  CLI11_PARSE(app, argc, argv);
  if (app.get_subcommands().empty()) {
    std::cerr << "lossctl: a command is required; --help lists them\n";
    return EXIT_FAILURE;
  }
  // What could not be written did not succeed: a disk may be full.
  if (session.status.ok() && !std::cout.flush()) {
    session.status = absl::DataLossError("standard output cannot be written to");
  }
  if (session.status.ok()) return EXIT_SUCCESS;
  std::cerr << "lossctl: " << session.status.message() << "\n";
  if (const char* hint = Hint(session.status); *hint != '\0') std::cerr << hint << "\n";
  return EXIT_FAILURE;
}

}  // namespace lossd
