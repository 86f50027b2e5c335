#include "lossd/introduction.h"

#include <unistd.h>

#include <limits>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/secret_file.h"
#include "lossd_rpc/call_metadata.h"

namespace lossd {
namespace {

constexpr size_t kMaxHostBytes = 64;

// This host and process.
std::string DefaultName() {
  char host[kMaxHostBytes + 1] = {};
  if (gethostname(host, kMaxHostBytes) != 0 || !IsWord(host, kMaxHostBytes)) {
    return absl::StrCat("host-", getpid());
  }
  return absl::StrCat(host, "-", getpid());
}

}  // namespace

Introduction::Introduction(const ClientOptions& options)
    : client_(options.client.empty() ? DefaultName() : options.client),
      token_(options.token),
      token_file_(options.token_file) {}

absl::Status Introduction::AddTo(grpc::ClientContext& context) const {
  if (!IsWord(client_, kMaxClientBytes)) {
    return FieldError(
        "client", absl::StrCat(client_.size(), " bytes"),
        absl::StrCat("at most ", kMaxClientBytes, " characters of printable ASCII without spaces"));
  }
  context.AddMetadata(kClientKey, client_);
  if (token_.empty() && token_file_.empty()) return absl::OkStatus();
  const bool in_file = token_.empty();
  absl::StatusOr<std::string> token = token_;
  if (in_file) token = ReadSecretFile("token_file", token_file_);
  if (!token.ok()) return token.status();
  if (in_file) absl::StripAsciiWhitespace(&*token);
  if (!IsWord(*token, std::numeric_limits<size_t>::max())) {
    return FieldError(in_file ? "token_file" : "token",
                      "no token, or characters that are not printable ASCII or are spaces",
                      "printable ASCII without spaces");
  }
  context.AddMetadata(kAuthorizationKey, absl::StrCat(kBearer, *token));
  return absl::OkStatus();
}

}  // namespace lossd
