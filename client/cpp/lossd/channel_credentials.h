#ifndef LOSSD_CHANNEL_CREDENTIALS_H_
#define LOSSD_CHANNEL_CREDENTIALS_H_

#include <grpcpp/security/credentials.h>

#include <memory>
#include <optional>

#include "absl/status/statusor.h"
#include "lossd/client_options.h"

namespace lossd {

// What a channel that is made now is made with. FieldErrors about "tls.…" for files that cannot be
// read, and for a certificate without a key or the reverse.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> ChannelCredentialsFor(
    const std::optional<TlsOptions>& tls);

}  // namespace lossd

#endif  // LOSSD_CHANNEL_CREDENTIALS_H_
