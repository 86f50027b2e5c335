// lossctl: asks a lossd server, from the command line.

#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <system_error>

#include "lossctl/lossctl.h"

namespace {

// Becomes lossctl-tensors, with the same arguments. It returns only where that cannot be.
absl::Status BecomeLossctlTensors(char** argv) {
  std::error_code error;
  const std::filesystem::path self = std::filesystem::read_symlink("/proc/self/exe", error);
  const std::filesystem::path path =
      self.parent_path().parent_path() / "libexec" / "lossctl-tensors";
  execv(path.c_str(), argv);
  return absl::ErrnoToStatus(errno, path.string());
}

}  // namespace

int main(int argc, char** argv) {
  const auto become = [argv](const lossd::Session& /*session*/, const auto& /*flags*/) {
    return BecomeLossctlTensors(argv);
  };
  return lossd::Lossctl(argc, argv, {.compute = become, .bench = become, .malis = become});
}
