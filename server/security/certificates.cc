#include "server/security/certificates.h"

#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>

#include <memory>

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
using PrivateKey = std::unique_ptr<EVP_PKEY, FreeWith<EVP_PKEY_free>>;

// Nobody is there to be asked for a key's passphrase.
int NoPassphrase(char* /*buffer*/, int /*size*/, int /*writing*/, void* /*data*/) { return -1; }

Bio Over(const std::string& pem) {
  return Bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
}

// The first certificate; null where there is none that can be read.
Certificate FirstCertificate(const std::string& pem) {
  Certificate certificate(PEM_read_bio_X509(Over(pem).get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  return certificate;
}

PrivateKey ReadKey(const std::string& pem) {
  PrivateKey key(PEM_read_bio_PrivateKey(Over(pem).get(), nullptr, NoPassphrase, nullptr));
  ERR_clear_error();
  return key;
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
  const Certificate certificate = FirstCertificate(certificates.chain);
  if (certificate == nullptr) {
    return FieldError("tls_cert", "no certificate that can be read", "one in PEM");
  }
  if (const ASN1_TIME* end = X509_get0_notAfter(certificate.get());
      X509_cmp_current_time(end) <= 0) {
    return FieldError("tls_cert", "a certificate that has expired on " + InWords(end),
                      "a valid one");
  }
  if (const ASN1_TIME* begin = X509_get0_notBefore(certificate.get());
      X509_cmp_current_time(begin) > 0) {
    return FieldError("tls_cert", "a certificate that is valid only from " + InWords(begin),
                      "a valid one");
  }
  const PrivateKey key = ReadKey(certificates.key);
  if (key == nullptr) {
    return FieldError("tls_key", "no private key that can be read",
                      "one in PEM, without a passphrase");
  }
  const bool matches = X509_check_private_key(certificate.get(), key.get()) == 1;
  ERR_clear_error();
  if (!matches) return FieldError("tls_key", "the key of another certificate", "that of tls_cert");
  if (!certificates.client_ca.empty() && FirstCertificate(certificates.client_ca) == nullptr) {
    return FieldError("tls_client_ca", "no certificate that can be read",
                      "those of authorities in PEM");
  }
  return absl::OkStatus();
}

}  // namespace lossd
