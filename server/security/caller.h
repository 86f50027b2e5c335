#ifndef SERVER_SECURITY_CALLER_H_
#define SERVER_SECURITY_CALLER_H_

#include <grpcpp/security/auth_context.h>
#include <grpcpp/server_context.h>
#include <grpcpp/support/string_ref.h>

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "server/security/tokens.h"

namespace lossd {

// Who makes a call, by what its metadata and its connection tell: found once for each call, before
// anything else of it is looked at.
struct Caller {
  // What limits, fairness and the log know the client by: the name of its token; or of its
  // certificate (SPIFFE id, common name or another name, in this order); or what it calls itself
  // in x-lossd-client; or its address without the port. Never empty. Only the first two are proven.
  std::string identity;
  // Where the call belongs in a distributed trace, as W3C's traceparent; empty where that is not
  // said, or said wrongly.
  std::string traceparent;
  // Whether the server answers: OK or UNAUTHENTICATED, with reason TOKEN_MISSING or TOKEN_UNKNOWN.
  absl::Status let_in;
};

// What a client sends along with a call.
using Metadata = std::multimap<grpc::string_ref, grpc::string_ref>;

// `connection` may be null. `peer` is as in ServerContext. `tokens` are those that let in; null
// where none is needed.
Caller IdentifyCaller(const Metadata& metadata, const grpc::AuthContext* connection,
                      absl::string_view peer, const Tokens* tokens);

// The same of a call.
Caller IdentifyCaller(const grpc::ServerContextBase& context, const Tokens* tokens);

}  // namespace lossd

#endif  // SERVER_SECURITY_CALLER_H_
