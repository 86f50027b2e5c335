#include "server/shared_memory/segment_socket.h"

#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lossd/shared_memory/segment_packets.h"

namespace lossd {
namespace {

// Whether the peer may share memory: it runs as the same user, or as root.
bool IsTrusted(const FileDescriptor& socket) {
  ucred peer = {};
  socklen_t size = sizeof(peer);
  if (getsockopt(socket.get(), SOL_SOCKET, SO_PEERCRED, &peer, &size) != 0) return false;
  return peer.uid == geteuid() || peer.uid == 0;
}

}  // namespace

absl::StatusOr<std::unique_ptr<SegmentSocket>> SegmentSocket::Listen(const std::string& name,
                                                                     const std::string& instance,
                                                                     Segments& segments) {
  absl::StatusOr<FileDescriptor> listener = ListenOnUnixSocket(name);
  if (!listener.ok()) return listener.status();
  FileDescriptor stop(eventfd(0, EFD_CLOEXEC));
  if (!stop.valid()) return absl::UnavailableError("no descriptors are left");
  return std::unique_ptr<SegmentSocket>(
      new SegmentSocket(name, instance, segments, *std::move(listener), std::move(stop)));
}

SegmentSocket::SegmentSocket(std::string name, std::string instance, Segments& segments,
                             FileDescriptor listener, FileDescriptor stop)
    : name_(std::move(name)),
      instance_(std::move(instance)),
      segments_(segments),
      listener_(std::move(listener)),
      stop_(std::move(stop)),
      thread_([this] { Serve(); }) {}

SegmentSocket::~SegmentSocket() {
  const uint64_t once = 1;
  // The counter has room.
  [[maybe_unused]] const ssize_t written = write(stop_.get(), &once, sizeof(once));
  thread_.join();
  for (Connection& connection : connections_) End(connection);
  if (name_[0] != '@') unlink(name_.c_str());
}

void SegmentSocket::Serve() {
  while (true) {
    std::vector<pollfd> waiting = {{.fd = stop_.get(), .events = POLLIN, .revents = 0},
                                   {.fd = listener_.get(), .events = POLLIN, .revents = 0}};
    for (const Connection& connection : connections_) {
      waiting.push_back({.fd = connection.socket.get(), .events = POLLIN, .revents = 0});
    }
    if (poll(waiting.data(), waiting.size(), -1) < 0) continue;
    if (waiting[0].revents != 0) return;
    for (size_t i = 0; i < connections_.size(); ++i) {
      Connection& connection = connections_[i];
      if (waiting[i + 2].revents != 0 && !Answer(connection)) End(connection);
    }
    std::erase_if(connections_,
                  [](const Connection& connection) { return !connection.socket.valid(); });
    if (waiting[1].revents != 0) Accept();
  }
}

void SegmentSocket::Accept() {
  FileDescriptor socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket.valid()) {
    // No descriptors are left: the client waits, and is there again at once.
    absl::SleepFor(absl::Milliseconds(100));
    return;
  }
  if (connections_.size() >= kMaxConnections || !IsTrusted(socket)) return;
  if (!SendPacket(socket, instance_).ok()) return;
  connections_.push_back({.socket = std::move(socket), .tokens = {}});
}

bool SegmentSocket::Answer(Connection& connection) {
  const absl::StatusOr<Packet> packet = ReceivePacket(connection.socket);
  if (absl::IsCancelled(packet.status())) return false;
  const absl::StatusOr<std::string> done =
      packet.ok() ? Handle(connection, *packet) : packet.status();
  const std::string answer =
      done.ok() ? absl::StrCat(absl::string_view(&kDone, 1), *done)
                : absl::StrCat(absl::string_view(&kRefused, 1),
                               done.status().message().substr(0, kMaxPacketBytes - 1));
  // One that does not read its answers has no use for them.
  return SendPacket(connection.socket, answer).ok();
}

absl::StatusOr<std::string> SegmentSocket::Handle(Connection& connection, const Packet& packet) {
  std::vector<std::string>& tokens = connection.tokens;
  if (packet.bytes.size() == kOfferBytes && packet.files.size() == 1) {
    if (tokens.size() >= kMaxSegmentsOfConnection) {
      return absl::ResourceExhaustedError(
          absl::StrCat("a connection may share ", kMaxSegmentsOfConnection, " segments"));
    }
    absl::StatusOr<std::string> token = segments_.Take(packet.files[0], OfferedSize(packet.bytes));
    if (token.ok()) tokens.push_back(*token);
    return token;
  }
  if (packet.bytes.size() == kTokenBytes && packet.files.empty()) {
    if (std::erase(tokens, packet.bytes) == 0) {
      return absl::NotFoundError("no segment of this connection");
    }
    segments_.Forget(packet.bytes);
    return "";
  }
  return absl::InvalidArgumentError(
      "expected the size of a segment with its descriptor, or a token without one");
}

void SegmentSocket::End(Connection& connection) {
  for (const std::string& token : connection.tokens) segments_.Forget(token);
  connection = {};
}

}  // namespace lossd
