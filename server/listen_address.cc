#include "server/listen_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "lossd/base/error.h"

namespace lossd {
namespace {

constexpr int kMaxPort = 65535;
constexpr absl::string_view kHostAndPort =
    "host:port with a port of 0 to 65535, [address]:port for IPv6";

bool IsSocketFile(absl::string_view address) {
  return absl::StartsWith(address, "unix:") || absl::StartsWith(address, "unix-abstract:");
}

// The host of host:port, without the brackets of IPv6.
absl::string_view HostOf(absl::string_view address) {
  absl::string_view host = address.substr(0, address.rfind(':'));
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  return host;
}

bool IsPort(absl::string_view text) {
  int port = 0;
  return std::all_of(text.begin(), text.end(), absl::ascii_isdigit) &&
         absl::SimpleAtoi(text, &port) && port <= kMaxPort;
}

bool IsHostAndPort(absl::string_view address) {
  const size_t colon = address.rfind(':');
  const absl::string_view host = HostOf(address);
  const bool bracketed = absl::StartsWith(address, "[");
  return colon != absl::string_view::npos && IsPort(address.substr(colon + 1)) && !host.empty() &&
         (bracketed ? address[colon - 1] == ']' : !absl::StrContains(host, ':'));
}

}  // namespace

absl::Status CheckListenAddress(absl::string_view address) {
  if (IsSocketFile(address) || IsHostAndPort(address)) return absl::OkStatus();
  return FieldError("listen", absl::StrCat("'", address, "'"),
                    absl::StrCat(kHostAndPort, ", or unix:path"));
}

absl::Status CheckHostAndPort(absl::string_view field, absl::string_view address) {
  if (!IsSocketFile(address) && IsHostAndPort(address)) return absl::OkStatus();
  return FieldError(field, absl::StrCat("'", address, "'"), kHostAndPort);
}

bool IsLocal(absl::string_view address) {
  if (IsSocketFile(address)) return true;
  const std::string host(HostOf(address));
  in_addr four = {};
  in6_addr six = {};
  if (inet_pton(AF_INET, host.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
  if (inet_pton(AF_INET6, host.c_str(), &six) == 1) return IN6_IS_ADDR_LOOPBACK(&six) != 0;
  return host == "localhost";
}

}  // namespace lossd
