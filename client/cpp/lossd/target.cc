#include "lossd/target.h"

#include <arpa/inet.h>
#include <grpc/grpc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstdlib>
#include <memory>
#include <utility>
#include <vector>

#include "absl/algorithm/container.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "lossd/base/error.h"

namespace lossd {
namespace {

constexpr char kSeveral[] =
    R"({"loadBalancingConfig": [{"round_robin": {}}], "healthCheckConfig": {"serviceName": ""}})";

constexpr absl::string_view kLocalSchemes[] = {"unix", "unix-abstract"};
constexpr absl::string_view kNumericSchemes[] = {"ipv4", "ipv6"};
constexpr absl::string_view kOtherSchemes[] = {"dns", "xds"};

// In the order in which gRPC looks for one.
constexpr const char* kProxyVariables[] = {"grpc_proxy", "https_proxy", "http_proxy"};
constexpr const char* kNoProxyVariables[] = {"no_grpc_proxy", "no_proxy"};

struct HostAndPort {
  std::string host;
  std::string port;
};

HostAndPort Split(absl::string_view address) {
  const size_t colon = address.rfind(':');
  absl::string_view host = address.substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  const bool has_port = colon != absl::string_view::npos;
  return {.host = std::string(host),
          .port = has_port ? std::string(address.substr(colon + 1)) : ""};
}

// The scheme of a target that has one; else empty.
absl::string_view SchemeOf(absl::string_view address) {
  const size_t colon = address.find(':');
  if (colon == absl::string_view::npos) return "";
  const absl::string_view scheme = address.substr(0, colon);
  const bool known = absl::c_linear_search(kLocalSchemes, scheme) ||
                     absl::c_linear_search(kNumericSchemes, scheme) ||
                     absl::c_linear_search(kOtherSchemes, scheme);
  return known || absl::StartsWith(address.substr(colon + 1), "//") ? scheme : "";
}

bool IsLoopback(absl::string_view address) {
  const std::string host = Split(address).host;
  in_addr four = {};
  in6_addr six = {};
  if (inet_pton(AF_INET, host.c_str(), &four) == 1) return (ntohl(four.s_addr) >> 24) == 127;
  if (inet_pton(AF_INET6, host.c_str(), &six) == 1) return IN6_IS_ADDR_LOOPBACK(&six) != 0;
  return host == "localhost";
}

// Adds the numbers that a name stands for; else says why there are none.
std::string Resolve(absl::string_view address, std::vector<std::string>& ipv4,
                    std::vector<std::string>& ipv6) {
  const auto [host, port] = Split(address);
  addrinfo wanted = {};
  wanted.ai_socktype = SOCK_STREAM;
  addrinfo* first = nullptr;
  const int error = getaddrinfo(host.c_str(), port.c_str(), &wanted, &first);
  if (error != 0) return absl::StrCat(address, ": ", gai_strerror(error));
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> found(first, freeaddrinfo);
  for (const addrinfo* one = first; one != nullptr; one = one->ai_next) {
    char number[NI_MAXHOST];
    char service[NI_MAXSERV];
    if (getnameinfo(one->ai_addr, one->ai_addrlen, number, sizeof(number), service, sizeof(service),
                    NI_NUMERICHOST | NI_NUMERICSERV) != 0) {
      continue;
    }
    const bool is_ipv4 = one->ai_family == AF_INET;
    const std::string place =
        is_ipv4 ? absl::StrCat(number, ":", service) : absl::StrCat("[", number, "]:", service);
    std::vector<std::string>& places = is_ipv4 ? ipv4 : ipv6;
    if (!absl::c_linear_search(places, place)) places.push_back(place);
  }
  return "";
}

// Several servers as a target, for which gRPC takes numbers only, all of one kind.
absl::StatusOr<std::string> Numeric(absl::string_view addresses) {
  std::vector<std::string> ipv4;
  std::vector<std::string> ipv6;
  std::string problem;
  for (const absl::string_view address : absl::StrSplit(addresses, ',', absl::SkipWhitespace())) {
    std::string unknown = Resolve(absl::StripAsciiWhitespace(address), ipv4, ipv6);
    if (!unknown.empty()) problem = std::move(unknown);
  }
  if (!ipv4.empty()) return absl::StrCat("ipv4:", absl::StrJoin(ipv4, ","));
  if (!ipv6.empty()) return absl::StrCat("ipv6:", absl::StrJoin(ipv6, ","));
  return absl::UnavailableError(absl::StrCat("no server has an address: ", problem));
}

std::string Environment(const char* variable) {
  const char* const value = std::getenv(variable);
  return value == nullptr ? "" : value;
}

// Whether the environment has this host reached without a proxy.
bool IsExcepted(absl::string_view host) {
  for (const char* variable : kNoProxyVariables) {
    const std::string names = Environment(variable);
    for (const absl::string_view name : absl::StrSplit(names, ',', absl::SkipWhitespace())) {
      if (absl::EndsWith(host, absl::StripAsciiWhitespace(name))) return true;
    }
  }
  return false;
}

std::string ProxyTo(absl::string_view uri) {
  if (IsExcepted(Split(uri.substr(uri.rfind('/') + 1)).host)) return "";
  for (const char* variable : kProxyVariables) {
    const std::string proxy = Environment(variable);
    if (proxy.empty()) continue;
    // Not the password.
    const size_t slashes = proxy.find("//");
    const size_t at = proxy.rfind('@');
    const size_t begin = slashes == std::string::npos ? 0 : slashes + 2;
    const std::string shown =
        at == std::string::npos ? proxy : proxy.substr(0, begin) + proxy.substr(at + 1);
    return absl::StrCat(variable, "=", shown);
  }
  return "";
}

}  // namespace

absl::StatusOr<Target> ReadTarget(absl::string_view address) {
  if (absl::StripAsciiWhitespace(address).empty()) {
    return FieldError("target", "none", "\"host:port\" or several of them");
  }
  Target target = {.uri = std::string(address), .options = {}, .several = false, .proxy = ""};
  const absl::string_view scheme = SchemeOf(address);
  const bool named = scheme.empty();
  bool direct = named && IsLoopback(address);
  const bool listed = absl::StrContains(address, ',');
  if (named && listed) {
    absl::StatusOr<std::string> numeric = Numeric(address);
    if (!numeric.ok()) return numeric.status();
    target.uri = *std::move(numeric);
    direct = true;
  } else if (!named) {
    direct = absl::c_linear_search(kLocalSchemes, scheme) ||
             absl::c_linear_search(kNumericSchemes, scheme);
  }
  target.several = listed || scheme == "dns";
  if (target.several) target.options.emplace(GRPC_ARG_SERVICE_CONFIG, std::string(kSeveral));
  if (direct) {
    target.options.emplace(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  } else {
    target.proxy = ProxyTo(target.uri);
  }
  return target;
}

}  // namespace lossd
