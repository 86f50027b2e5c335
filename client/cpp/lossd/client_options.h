#ifndef LOSSD_CLIENT_OPTIONS_H_
#define LOSSD_CLIENT_OPTIONS_H_

// How a client of the C++ SDK behaves, and each of its calls.

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <variant>

#include "absl/time/time.h"

namespace lossd {

// How a batch travels.
enum class Transport {
  kAuto,    // What suits its size best: large ones in shared memory where that can be, else in
            // pieces.
  kUnary,   // In one message each way, of at most 2 GiB.
  kStream,  // In pieces.
  kShared,  // In memory shared with a server on this host; an error where that cannot be.
};

// Options of gRPC's channel, by name: {{"grpc.keepalive_time_ms", 60'000}}.
using ChannelOptions = std::map<std::string, std::variant<int, std::string>>;

// TLS, by which a client makes sure of its server, and lets it make sure of the client. The files
// are PEM, and read whenever a connection is made.
struct TlsOptions {
  // The authorities one of which must have signed the server's certificate; those that gRPC brings
  // along when empty.
  std::string root_certificates_file = {};
  // The client's own certificate, where the server asks for one, with those that lead to its
  // authority, and its key, without a passphrase.
  std::string certificate_file = {};
  std::string key_file = {};
  // What the server's certificate must be for; the host of the address when empty. Needed for
  // several servers with commas in between.
  std::string server_name = {};
};

struct ClientOptions {
  // How long Connect waits for the server.
  absl::Duration connect_timeout = absl::Seconds(10);
  // Bound on every call, repetitions included: DEADLINE_EXCEEDED when it passes.
  // absl::InfiniteDuration() is none.
  absl::Duration timeout = absl::Minutes(10);
  // How long a call goes on trying after its first failure, for example while a server restarts.
  // Computing is pure, so nothing happens twice. absl::InfiniteDuration() leaves it to `timeout`,
  // to which it is left always while a server is only busy; absl::ZeroDuration() returns any first
  // failure.
  absl::Duration retry_timeout = absl::Minutes(1);
  Transport transport = Transport::kAuto;
  // Whether labels, masks and segmentations are compressed by LZ4 on top of their shortest
  // encoding, at some 2 GB/s: worth it over a network of less than 10 Gbit/s.
  bool compress = false;
  // None: what is sent can be read on its way.
  std::optional<TlsOptions> tls = {};
  // The bearer token that lets the client in; or the file that holds it, read at each call.
  std::string token = {};
  std::string token_file = {};
  // What the client calls itself, for the server's log and its fairness where it has no token and
  // no certificate: at most 128 characters of printable ASCII without spaces. Its host and process
  // when empty.
  std::string client = {};
  // Instead of what the client chooses.
  ChannelOptions channel_options = {};
};

// How far a call has come, in bytes of tensors as they are sent: in one attempt, of which there may
// be several.
struct Progress {
  int64_t sent = 0;
  int64_t to_send = 0;
  int64_t received = 0;
  int64_t to_receive = 0;  // Known once the answer begins; 0 before.
};

struct CallOptions {
  // Identifies the call in the server's log: at most 128 characters of printable ASCII without
  // spaces. Drawn when empty.
  std::string request_id = {};
  // The span of a distributed trace that the call belongs to, as W3C writes traceparent.
  std::string traceparent = {};
  // Called on the thread that makes the call, with each piece of a stream that is sent or received.
  std::function<void(const Progress&)> progress = {};
};

}  // namespace lossd

#endif  // LOSSD_CLIENT_OPTIONS_H_
