#include "server/security/certificates.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <ctime>
#include <memory>
#include <vector>

#include "lossd/base/error.h"

namespace lossd {
namespace {

template <auto kFree>
struct FreeWith {
  template <typename T>
  void operator()(T* thing) const {
    kFree(thing);
  }
};
using Bio = std::unique_ptr<BIO, FreeWith<BIO_free_all>>;
using Certificate = std::unique_ptr<X509, FreeWith<X509_free>>;
using TlsContext = std::unique_ptr<SSL_CTX, FreeWith<SSL_CTX_free>>;
using PrivateKey = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;

// Nobody is there to be asked for a key's passphrase.
int NoPassphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*data*/) { return -1; }

Bio Over(const std::string& pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// All certificates; none where one of them cannot be read.
std::vector<Certificate> ReadCertificates(const std::string& pem) {
  const Bio text = Over(pem);
  std::vector<Certificate> certificates;
  while (X509* const next = PEM_read_bio_X509(text.get(), nullptr, NoPassphrase, nullptr)) {
    certificates.emplace_back(next);
  }
  // So it ends where there is no other.
  const bool all_read = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  ERR_clear_error();
  if (!all_read) certificates.clear();
  return certificates;
}

PrivateKey ReadKey(const std::string& pem) {
  PrivateKey key(PEM_read_bio_PrivateKey(Over(pem).get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  return key;
}

bool BelongTogether(X509* certificate, EVP_PKEY* key) {
  const bool together = X509_check_private_key(certificate, key) == 1;
  ERR_clear_error();
  return together;
}

// Whether TLS serves with such a certificate, by this machine's policy.
bool IsStrongEnough(X509* certificate) {
  const TlsContext context(SSL_CTX_new(TLS_server_method()));
  const bool taken = SSL_CTX_use_certificate(context.get(), certificate) == 1;
  ERR_clear_error();
  return taken;
}

std::string InWords(const ASN1_TIME* time) {
  const Bio text(BIO_new(BIO_s_mem()));
  ASN1_TIME_print(text.get(), time);
  const char* data = nullptr;
  const auto size = BIO_get_mem_data(text.get(), &data);
  return {data, static_cast<size_t>(size)};
}

}  // namespace

absl::Status CheckCertificates(const Certificates& certificates) {
  const std::vector<Certificate> chain = ReadCertificates(certificates.chain);
  if (chain.empty()) {
    return FieldError("tls_cert", "no certificates that can be read", "some in PEM");
  }
  X509* const own = chain.front().get();
  if (const ASN1_TIME* end = X509_get0_notAfter(own); X509_cmp_current_time(end) <= 0) {
    return FieldError("tls_cert", "a certificate that has expired on " + InWords(end),
                      "a valid one");
  }
  if (const ASN1_TIME* begin = X509_get0_notBefore(own); X509_cmp_current_time(begin) > 0) {
    return FieldError("tls_cert", "a certificate that is valid only from " + InWords(begin),
                      "a valid one");
  }
  const PrivateKey key = ReadKey(certificates.key);
  if (key == nullptr) {
    return FieldError("tls_key", "no private key that can be read",
                      "one in PEM, without a passphrase");
  }
  if (!BelongTogether(own, key.get())) {
    return FieldError("tls_key", "the key of another certificate", "that of tls_cert");
  }
  if (!IsStrongEnough(own)) {
    return FieldError("tls_cert", "a certificate with a key or a signature that TLS takes for weak",
                      "a stronger one");
  }
  if (!certificates.client_ca.empty() && ReadCertificates(certificates.client_ca).empty()) {
    return FieldError("tls_client_ca", "no certificates that can be read",
                      "those of authorities in PEM");
  }
  return absl::OkStatus();
}

absl::Time ExpiryOf(const Certificates& certificates) {
  const std::vector<Certificate> chain = ReadCertificates(certificates.chain);
  std::tm expiry{};
  ASN1_TIME_to_tm(X509_get0_notAfter(chain.front().get()), &expiry);
  return absl::FromTM(expiry, absl::UTCTimeZone());
}

}  // namespace lossd
