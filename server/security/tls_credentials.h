#ifndef SERVER_SECURITY_TLS_CREDENTIALS_H_
#define SERVER_SECURITY_TLS_CREDENTIALS_H_

#include <grpcpp/security/server_credentials.h>

#include <memory>

#include "server/security/secrets.h"

namespace lossd {

// TLS for one port, with the certificates that `secrets` has, which must be some, at each
// handshake. Where they have a client_ca, clients must prove to be certified by it. Connections
// that are open keep what they were made with. To be kept as long as the server, which does not do
// that itself.
std::shared_ptr<grpc::ServerCredentials> TlsCredentials(std::shared_ptr<const Secrets> secrets);

}  // namespace lossd

#endif  // SERVER_SECURITY_TLS_CREDENTIALS_H_
