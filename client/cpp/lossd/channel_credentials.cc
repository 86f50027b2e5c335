#include "lossd/channel_credentials.h"

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "lossd/base/error.h"
#include "lossd/secret_file.h"

namespace lossd {

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentialsFor(
    const std::optional<TlsOptions>& tls) {
  if (!tls.has_value()) return grpc::InsecureChannelCredentials();
  if (tls->certificate_file.empty() != tls->key_file.empty()) {
    return FieldError(tls->key_file.empty() ? "tls.key_file" : "tls.certificate_file", "none",
                      "one, as a certificate and its key belong together");
  }
  absl::StatusOr<std::string> roots =
      ReadSecretFile("tls.root_certificates_file", tls->root_certificates_file);
  if (!roots.ok()) return roots.status();
  absl::StatusOr<std::string> certificate =
      ReadSecretFile("tls.certificate_file", tls->certificate_file);
  if (!certificate.ok()) return certificate.status();
  absl::StatusOr<std::string> key = ReadSecretFile("tls.key_file", tls->key_file);
  if (!key.ok()) return key.status();
  return grpc::SslCredentials({.pem_root_certs = *std::move(roots),
                               .pem_private_key = *std::move(key),
                               .pem_cert_chain = *std::move(certificate)});
}

}  // namespace lossd
