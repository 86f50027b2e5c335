// lossd: the loss server.

#include <google/protobuf/stubs/logging.h>
#include <pthread.h>
#include <spdlog/sinks/stdout_sinks.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <memory>
#include <string>

#include "absl/debugging/failure_signal_handler.h"
#include "absl/debugging/symbolize.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"
#include "absl/time/time.h"
#include "lossd/base/freed_memory.h"
#include "server/config.h"
#include "server/devices/devices.h"
#include "server/log.h"
#include "server/security/secrets.h"
#include "server/server.h"
#include "server/service_manager.h"
#include "server/stack_unwinder.h"
#include "server/stop_request.h"
#include "server/version.h"

namespace {

lossd::Log MakeLog(const lossd::Config& config) {
  return {config.log_format == "json" ? lossd::Log::Format::kJson : lossd::Log::Format::kText,
          spdlog::level::from_str(config.log_level),
          std::make_shared<spdlog::sinks::stderr_sink_mt>()};
}

// Writes the port in one step, so that whoever waits for the file never reads half of it.
absl::Status WritePort(int port, const std::string& path) {
  if (path.empty()) return absl::OkStatus();
  const std::string draft = path + ".tmp";
  std::ofstream file(draft);
  file << port << "\n";
  file.close();
  std::error_code error;
  if (file) std::filesystem::rename(draft, path, error);
  if (!file || error) return absl::UnavailableError(absl::StrCat("cannot write ", path));
  return absl::OkStatus();
}

// Serves until it is to stop. `parent` is the process with which the server ends, 0 for none. The
// exit status.
int Serve(const lossd::Config& config, pid_t parent) {
  const absl::StatusOr<lossd::StopRequest> stop = lossd::StopRequest::Watch(parent);
  lossd::Log log = MakeLog(config);
  const auto fail = [&log](const absl::Status& status) {
    log.Write(spdlog::level::err, "", "cannot serve", {{"error", status.message()}});
    return EXIT_FAILURE;
  };
  if (!stop.ok()) return fail(stop.status());
  const absl::StatusOr<std::unique_ptr<lossd::Server>> server = lossd::Server::Start(config, log);
  if (!server.ok()) return fail(server.status());
  const absl::Status written = WritePort((*server)->port(), config.port_file);
  if (!written.ok()) return fail(written);
  log.Write(spdlog::level::info, "", "serving",
            {{"listen", config.listen},
             {"port", int64_t{(*server)->port()}},
             {"http_port", int64_t{(*server)->http_port()}},
             {"threads", int64_t{config.threads}},
             {"version", LOSSD_VERSION}});

  const auto notify = [&log](absl::string_view state) {
    const absl::Status status = lossd::NotifyServiceManager(state);
    if (!status.ok()) {
      log.Write(spdlog::level::warn, "", "no word to the service manager",
                {{"error", status.message()}});
    }
  };
  notify("READY=1");
  // While nobody calls, too.
  constexpr absl::Duration kHousekeeping = absl::Seconds(10);
  while (!stop->Await(kHousekeeping)) {
    (*server)->GiveBackScratch();
    // Its stack is what tells why.
    if (const auto stuck = (*server)->LookForStuckCalls()) pthread_kill(*stuck, SIGABRT);
    notify("WATCHDOG=1");
  }
  notify("STOPPING=1");
  lossd::StopRequest::EndAtOnce();
  log.Write(spdlog::level::info, "", "draining", {{"timeout", config.drain_timeout}});
  const bool any_device = (*server)->any_device();
  if (!(*server)->Drain()) {
    log.Write(spdlog::level::err, "", "stopped calls that did not finish in time");
    // What has not stopped even then would be waited for for ever.
    std::_Exit(EXIT_FAILURE);
  }
  log.Write(spdlog::level::info, "", "stopped");
  // Whoever supervises the process starts it anew: in a new one a device may work again.
  return any_device ? EXIT_SUCCESS : EXIT_FAILURE;
}

// Reads all that a server would, and says what is wrong with it. The exit status.
int CheckConfig(lossd::Config config) {
  config.log_level = "error";
  lossd::Log log = MakeLog(config);
  absl::Status status = lossd::Secrets::Load(config, log).status();
  if (status.ok()) status = lossd::OpenDevices(config.devices).status();
  if (status.ok()) {
    std::cout << "ok\n";
    return EXIT_SUCCESS;
  }
  std::cerr << status.message() << "\n";
  return EXIT_FAILURE;
}

}  // namespace

int main(int argc, char** argv) {
  // What ends the process by a fault says where.
  absl::InitializeSymbolizer(argv[0]);
  lossd::UnwindByTables();
  absl::InstallFailureSignalHandler({});
  CLI::App app("lossd: computes losses and their gradients for training 3-D segmentation networks.",
               "lossd");
  app.set_version_flag("--version", "lossd " + lossd::VersionInWords());
  lossd::Config config;
  lossd::DeclareConfig(app, config);
  bool check_config = false;
  app.add_flag("--check-config", check_config,
               "Read flags, config file, certificates and tokens, say whether they are good, and "
               "exit");
  pid_t parent = 0;
  app.add_option("--parent", parent,
                 "The process that starts this one and with which it is to end, however that ends")
      ->check(CLI::PositiveNumber);
  CLI11_PARSE(app, argc, argv);
  if (check_config) return CheckConfig(config);
  lossd::KeepFreedMemory();
  // Debian builds Abseil with its search for deadlocks, under one lock for all threads, in each
  // lock that gRPC takes.
  absl::SetMutexDeadlockDetectionMode(absl::OnDeadlockCycle::kIgnore);
  // Who sends bytes that are no message is told so; the log is ours alone.
  google::protobuf::SetLogHandler(nullptr);
  return Serve(config, parent);
}
