#ifndef LOSSD_INTRODUCTION_H_
#define LOSSD_INTRODUCTION_H_

#include <grpcpp/client_context.h>

#include <string>

#include "absl/status/status.h"
#include "lossd/client_options.h"

namespace lossd {

// What each call of a client says of it. Immutable.
class Introduction {
 public:
  explicit Introduction(const ClientOptions& options);

  // Adds it to a call's metadata. A FieldError about "token", "token_file" or "client" where that
  // is none that can be sent; it shows no token.
  absl::Status AddTo(grpc::ClientContext& context) const;

 private:
  std::string client_;
  std::string token_;
  std::string token_file_;
};

}  // namespace lossd

#endif  // LOSSD_INTRODUCTION_H_
