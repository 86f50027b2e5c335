#ifndef SERVER_SECURITY_CERTIFICATES_H_
#define SERVER_SECURITY_CERTIFICATES_H_

#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"

namespace lossd {

// What the server needs for TLS, all of it PEM.
struct Certificates {
  std::string chain;      // The server's own certificate, then those that lead to the authority's.
  std::string key;        // That of the first, not encrypted.
  std::string client_ca;  // Who signs clients' certificates; empty where clients need none.

  friend bool operator==(const Certificates&, const Certificates&) = default;
};

// Whether a server can serve with them now: they can be read, belong together and are not out of
// date. FieldErrors about "tls_cert", "tls_key" or "tls_client_ca".
absl::Status CheckCertificates(const Certificates& certificates);

// When the server's own certificate expires, of those that CheckCertificates takes.
absl::Time ExpiryOf(const Certificates& certificates);

}  // namespace lossd

#endif  // SERVER_SECURITY_CERTIFICATES_H_
