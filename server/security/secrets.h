#ifndef SERVER_SECURITY_SECRETS_H_
#define SERVER_SECURITY_SECRETS_H_

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/config.h"
#include "server/log.h"
#include "server/security/certificates.h"
#include "server/security/tokens.h"

namespace lossd {

// What lets the server prove who it is, and clients prove who they are: the contents of the files
// that the config names. They are read every second, whichever way they are replaced; what is no
// good is logged, and what was there before stays in use. Thread-safe.
class Secrets {
 public:
  // Reads the files; FieldErrors name the field whose file cannot be read or is no good. `log` must
  // outlive what this returns.
  static absl::StatusOr<std::unique_ptr<Secrets>> Load(const Config& config, Log& log);

  Secrets(const Secrets&) = delete;
  Secrets& operator=(const Secrets&) = delete;
  ~Secrets();

  // The tokens that let clients in now; null where none are needed.
  std::shared_ptr<const Tokens> tokens() const;

  // What the next handshake is made with; null where there is no TLS.
  std::shared_ptr<const Certificates> certificates() const;

  // When they expire; nothing where there is no TLS.
  std::optional<absl::Time> certificate_expires() const;

 private:
  Secrets(Config config, Log& log) : config_(std::move(config)), log_(log) {}

  // Each puts what its files say now into use, unless that is in use already or no good.
  absl::Status UpdateCertificates();
  absl::Status UpdateTokens();

  // Does both every second, until destruction.
  void Watch();

  const Config config_;
  Log& log_;
  mutable std::mutex mutex_;
  std::shared_ptr<const Certificates> certificates_;  // Guarded by mutex_.
  std::shared_ptr<const Tokens> tokens_;              // Guarded by mutex_.
  bool stopping_ = false;                             // Guarded by mutex_.
  std::condition_variable stop_;
  std::thread watch_;  // Last: it uses the rest.
};

}  // namespace lossd

#endif  // SERVER_SECURITY_SECRETS_H_
