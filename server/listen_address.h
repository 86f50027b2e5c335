#ifndef SERVER_LISTEN_ADDRESS_H_
#define SERVER_LISTEN_ADDRESS_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lossd {

// Whether a server can be told to listen there: host:port, [address]:port for IPv6, unix:path or
// unix-abstract:name. A FieldError about "listen".
absl::Status CheckListenAddress(absl::string_view address);

// The same without Unix sockets, of another field.
absl::Status CheckHostAndPort(absl::string_view field, absl::string_view address);

// Whether only programs on this machine reach such an address.
bool IsLocal(absl::string_view address);

}  // namespace lossd

#endif  // SERVER_LISTEN_ADDRESS_H_
