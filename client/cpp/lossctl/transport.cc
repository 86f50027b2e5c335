#include <string>
#include <vector>

#include "lossctl/command.h"

namespace lossd {
namespace {

constexpr struct {
  const char* name;
  Transport transport;
} kTransports[] = {
    {"auto", Transport::kAuto},
    {"unary", Transport::kUnary},
    {"stream", Transport::kStream},
    {"shm", Transport::kShared},
};

}  // namespace

std::string TransportName(Transport transport) {
  for (const auto& one : kTransports) {
    if (one.transport == transport) return one.name;
  }
  return "";
}

void DeclareTransport(CLI::App& command, Session& session) {
  std::vector<std::string> names;
  for (const auto& one : kTransports) names.emplace_back(one.name);
  command
      .add_option_function<std::string>(
          "--transport",
          [&session](const std::string& word) {
            for (const auto& one : kTransports) {
              if (word == one.name) session.transport = one.transport;
            }
          },
          "How tensors travel: in one message each way, in pieces, in memory shared with a server "
          "on "
          "this host, or as suits their size")
      ->check(CLI::IsMember(names))
      ->default_str(TransportName(session.transport));
}

}  // namespace lossd
