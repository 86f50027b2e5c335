#include "server/security/secrets.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <system_error>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lossd/base/error.h"

namespace lossd {
namespace {

constexpr std::chrono::seconds kPeriod{1};

// More is none of what is read here.
constexpr uintmax_t kMaxFileBytes = 1 << 20;

// Reads the file at `path` that `field` of the config names; an empty one has no path either.
absl::StatusOr<std::string> ReadFile(absl::string_view field, const std::string& path) {
  if (path.empty()) return "";
  std::error_code error;  // Also for what is no file: nobody should wait for a pipe.
  const uintmax_t size = std::filesystem::file_size(path, error);
  if (!error && size > 0 && size <= kMaxFileBytes) {
    std::ifstream file(path, std::ios::binary);
    std::string text(size, '\0');
    if (file.read(text.data(), static_cast<std::streamsize>(size))) return text;
  }
  return FieldError(field, absl::StrCat("'", path, "'"),
                    absl::StrCat("a file that can be read, of 1 to ", kMaxFileBytes, " bytes"));
}

absl::StatusOr<Certificates> ReadCertificates(const Config& config) {
  absl::StatusOr<std::string> chain = ReadFile("tls_cert", config.tls_cert);
  if (!chain.ok()) return chain.status();
  absl::StatusOr<std::string> key = ReadFile("tls_key", config.tls_key);
  if (!key.ok()) return key.status();
  absl::StatusOr<std::string> client_ca = ReadFile("tls_client_ca", config.tls_client_ca);
  if (!client_ca.ok()) return client_ca.status();
  return Certificates{
      .chain = *std::move(chain), .key = *std::move(key), .client_ca = *std::move(client_ca)};
}

}  // namespace

absl::StatusOr<std::unique_ptr<Secrets>> Secrets::Load(const Config& config, Log& log) {
  std::unique_ptr<Secrets> secrets(new Secrets(config, log));
  absl::Status loaded = secrets->UpdateCertificates();
  if (loaded.ok()) loaded = secrets->UpdateTokens();
  if (!loaded.ok()) return loaded;
  if (!config.tls_cert.empty() || !config.token_file.empty()) {
    secrets->watch_ = std::thread([watching = secrets.get()] { watching->Watch(); });
  }
  return secrets;
}

Secrets::~Secrets() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  stop_.notify_all();
  if (watch_.joinable()) watch_.join();
}

std::shared_ptr<const Tokens> Secrets::tokens() const {
  const std::lock_guard lock(mutex_);
  return tokens_;
}

std::shared_ptr<const Certificates> Secrets::certificates() const {
  const std::lock_guard lock(mutex_);
  return certificates_;
}

std::optional<absl::Time> Secrets::certificate_expires() const {
  const std::shared_ptr<const Certificates> used = certificates();
  if (used == nullptr) return std::nullopt;
  return ExpiryOf(*used);
}

absl::Status Secrets::UpdateCertificates() {
  if (config_.tls_cert.empty()) return absl::OkStatus();
  absl::StatusOr<Certificates> read = ReadCertificates(config_);
  if (!read.ok()) return read.status();
  if (const auto used = certificates(); used != nullptr && *used == *read) return absl::OkStatus();
  if (absl::Status checked = CheckCertificates(*read); !checked.ok()) return checked;
  log_.Write(spdlog::level::info, "", "certificate taken", {{"tls_cert", config_.tls_cert}});
  const std::lock_guard lock(mutex_);
  certificates_ = std::make_shared<const Certificates>(*std::move(read));
  return absl::OkStatus();
}

absl::Status Secrets::UpdateTokens() {
  if (config_.token_file.empty()) return absl::OkStatus();
  const absl::StatusOr<std::string> text = ReadFile("token_file", config_.token_file);
  if (!text.ok()) return text.status();
  absl::StatusOr<Tokens> read = Tokens::Parse(*text);
  if (!read.ok()) return read.status();
  if (const auto used = tokens(); used != nullptr && *used == *read) return absl::OkStatus();
  log_.Write(spdlog::level::info, "", "tokens taken",
             {{"token_file", config_.token_file}, {"tokens", static_cast<int64_t>(read->size())}});
  const std::lock_guard lock(mutex_);
  tokens_ = std::make_shared<const Tokens>(*std::move(read));
  return absl::OkStatus();
}

void Secrets::Watch() {
  // A trouble that lasts is told of once.
  std::string told_of_certificates;
  std::string told_of_tokens;
  const auto tell = [this](absl::string_view event, const absl::Status& status, std::string& told) {
    if (!status.ok() && status.message() != told) {
      log_.Write(spdlog::level::err, "", event, {{"error", status.message()}});
    }
    told = std::string(status.message());
  };
  std::unique_lock lock(mutex_);
  while (!stop_.wait_for(lock, kPeriod, [this] { return stopping_; })) {
    lock.unlock();
    tell("the old certificate stays", UpdateCertificates(), told_of_certificates);
    tell("the old tokens stay", UpdateTokens(), told_of_tokens);
    lock.lock();
  }
}

}  // namespace lossd
