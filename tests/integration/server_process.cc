#include "tests/integration/server_process.h"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace lossd {

ServerProcess::ServerProcess(const std::string& program, const std::vector<std::string>& flags)
    : port_file_(std::filesystem::temp_directory_path() / absl::StrCat("lossd_port_", getpid())) {
  std::filesystem::remove(port_file_);
  std::vector<std::string> command = {program, "--listen=127.0.0.1:0",
                                      absl::StrCat("--port_file=", port_file_)};
  command.insert(command.end(), flags.begin(), flags.end());
  std::vector<char*> arguments;
  for (std::string& argument : command) arguments.push_back(argument.data());
  arguments.push_back(nullptr);
  if (posix_spawn(&pid_, program.c_str(), nullptr, nullptr, arguments.data(), environ) != 0) {
    pid_ = 0;
  }
}

ServerProcess::~ServerProcess() {
  if (pid_ > 0) {
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
  }
  std::filesystem::remove(port_file_);
}

std::string ServerProcess::Address() const {
  for (int i = 0; pid_ > 0 && i < 3000; ++i) {
    int port = 0;
    if (std::ifstream(port_file_) >> port) return absl::StrCat("127.0.0.1:", port);
    absl::SleepFor(absl::Milliseconds(10));
  }
  return "";
}

void ServerProcess::Terminate() const { kill(pid_, SIGTERM); }
void ServerProcess::Freeze() const { kill(pid_, SIGSTOP); }
void ServerProcess::Thaw() const { kill(pid_, SIGCONT); }

int ServerProcess::Wait() {
  int status = 0;
  waitpid(pid_, &status, 0);
  pid_ = 0;
  return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

}  // namespace lossd
