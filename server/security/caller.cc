#include "server/security/caller.h"

#include <grpc/grpc_security_constants.h>

#include <iterator>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "lossd/base/error.h"
#include "lossd_rpc/call_metadata.h"

namespace lossd {
namespace {

absl::string_view View(const grpc::string_ref& text) { return {text.data(), text.size()}; }

// What the client sent under that key; empty unless it sent it once.
absl::string_view Only(const Metadata& metadata, const char* key) {
  const auto [first, last] = metadata.equal_range(key);
  return first == last || std::next(first) != last ? "" : View(first->second);
}

// The name in a certificate that the connection has proven to be its client's; empty without one.
std::string CertifiedName(const grpc::AuthContext* connection) {
  if (connection == nullptr || !connection->IsPeerAuthenticated()) return "";
  for (const char* property : {GRPC_PEER_SPIFFE_ID_PROPERTY_NAME, GRPC_X509_CN_PROPERTY_NAME,
                               GRPC_X509_SAN_PROPERTY_NAME}) {
    for (const grpc::string_ref& value : connection->FindPropertyValues(property)) {
      if (!value.empty()) return {value.data(), value.size()};
    }
  }
  return "";
}

// The host of "ipv4:1.2.3.4:5" and "ipv6:%5B::1%5D:5"; of other peers all there is.
std::string AddressOf(absl::string_view peer) {
  if (!absl::ConsumePrefix(&peer, "ipv4:") && !absl::ConsumePrefix(&peer, "ipv6:")) {
    return peer.empty() ? "unknown" : std::string(peer);
  }
  return absl::StrReplaceAll(peer.substr(0, peer.rfind(':')),
                             {{"%5B", ""}, {"%5D", ""}, {"[", ""}, {"]", ""}});
}

absl::Status Refusal(absl::string_view reason, absl::string_view message) {
  return WithReason(reason, absl::UnauthenticatedError(message));
}

// Whose token came along; why that lets nobody in.
absl::StatusOr<std::string> TokenOwner(const Metadata& metadata, const Tokens& tokens) {
  absl::string_view token = Only(metadata, kAuthorizationKey);
  if (!absl::StartsWithIgnoreCase(token, kBearer)) {
    return Refusal("TOKEN_MISSING",
                   "authorization: got no bearer token, expected \"Bearer TOKEN\" once in the "
                   "call's metadata, as this server asks for");
  }
  token.remove_prefix(kBearer.size());
  std::string owner = tokens.OwnerOf(absl::StripAsciiWhitespace(token));
  if (owner.empty()) {
    return Refusal("TOKEN_UNKNOWN",
                   "authorization: got a token that this server does not know, or no longer");
  }
  return owner;
}

}  // namespace

Caller IdentifyCaller(const Metadata& metadata, const grpc::AuthContext* connection,
                      absl::string_view peer, const Tokens* tokens) {
  Caller caller;
  if (const absl::string_view given = Only(metadata, kTraceparentKey); IsTraceparent(given)) {
    caller.traceparent = std::string(given);
  }
  if (tokens != nullptr) {
    absl::StatusOr<std::string> owner = TokenOwner(metadata, *tokens);
    if (owner.ok()) {
      caller.identity = *std::move(owner);
      return caller;
    }
    caller.let_in = owner.status();
  }
  const absl::string_view called = Only(metadata, kClientKey);
  caller.identity = CertifiedName(connection);
  if (caller.identity.empty() && caller.let_in.ok() && IsWord(called, kMaxClientBytes)) {
    caller.identity = std::string(called);
  }
  if (caller.identity.empty()) caller.identity = AddressOf(peer);
  return caller;
}

Caller IdentifyCaller(const grpc::ServerContextBase& context, const Tokens* tokens) {
  return IdentifyCaller(context.client_metadata(), context.auth_context().get(), context.peer(),
                        tokens);
}

}  // namespace lossd
