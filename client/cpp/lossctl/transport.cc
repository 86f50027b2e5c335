#include <string>

#include "lossctl/command.h"

namespace lossd {

void DeclareTransport(CLI::App& command, Session& session) {
  command
      .add_option_function<std::string>(
          "--transport",
          [&session](const std::string& word) {
            session.transport = word == "unary"    ? Transport::kUnary
                                : word == "stream" ? Transport::kStream
                                : word == "shm"    ? Transport::kShared
                                                   : Transport::kAuto;
          },
          "How tensors travel: in one message each way, in pieces, in memory shared with a server "
          "on "
          "this host, or as suits their size")
      ->check(CLI::IsMember({"auto", "unary", "stream", "shm"}))
      ->default_str("auto");
}

}  // namespace lossd
