#ifndef LOSSD_TARGET_H_
#define LOSSD_TARGET_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lossd/client_options.h"

namespace lossd {

// Which server is meant, or which servers, in gRPC's words.
struct Target {
  std::string uri;
  ChannelOptions options;  // That go with it.
  bool several = false;    // More than one server may answer.
  std::string proxy;       // That the environment puts in between, as in "http_proxy=http://…".
};

// What an address means now: "host:port", any of gRPC's targets, or several of the former with
// commas in between. Several servers, also those behind a name ("dns:///…"), take turns, and those
// that say that they do not serve are left out. No proxy leads to this machine. UNAVAILABLE when
// several are named and none of them is known; a FieldError about "target" when it is empty.
absl::StatusOr<Target> ReadTarget(absl::string_view address);

}  // namespace lossd

#endif  // LOSSD_TARGET_H_
