// What operators write, and what callers say of themselves: config files, token files, addresses to
// listen on, metadata.

#include <CLI/CLI.hpp>
#include <cstdint>
#include <sstream>
#include <string>

#include "server/config.h"
#include "server/listen_address.h"
#include "server/security/caller.h"
#include "server/security/tokens.h"
#include "tests/fuzz/expect.h"

namespace lossd {
namespace {

void ReadConfig(const std::string& text) {
  CLI::App app;
  Config config;
  DeclareConfig(app, config);
  std::istringstream file(text);
  try {
    app.parse_from_stream(file);
  } catch (const CLI::ParseError& error) {
    Expect(std::string(error.what()).size() > 0, "an error says what is wrong");
  }
}

void ReadTokens(const std::string& text) {
  const absl::StatusOr<Tokens> tokens = Tokens::Parse(text);
  ExpectAnswerOrRefusal(tokens.status());
  if (tokens.ok()) (void)tokens->OwnerOf(text);
}

void ReadMetadata(const std::string& text) {
  const grpc::string_ref value(text.data(), text.size());
  const Metadata metadata = {
      {"authorization", value}, {"x-lossd-client", value}, {"traceparent", value}};
  const Caller caller = IdentifyCaller(metadata, nullptr, text, nullptr);
  Expect(!caller.identity.empty(), "a client has a name");
}

}  // namespace
}  // namespace lossd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0]) {
    case 'c':
      lossd::ReadConfig(text);
      break;
    case 't':
      lossd::ReadTokens(text);
      break;
    case 'l':
      lossd::ExpectAnswerOrRefusal(lossd::CheckListenAddress(text));
      break;
    case 'm':
      lossd::ReadMetadata(text);
      break;
    default:
      break;
  }
  return 0;
}
