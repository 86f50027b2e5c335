#include "bench/raw_tcp.h"

#include <ATen/ATen.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "lossd/tensor/large_tensor.h"

namespace lossd {
namespace {

// What one system call moves, at most.
constexpr size_t kPieceBytes = size_t{512} << 10;

absl::Status SystemError(const char* what) { return absl::ErrnoToStatus(errno, what); }

absl::Status SendAll(const Socket& socket, absl::Span<const std::byte> from) {
  while (!from.empty()) {
    const ssize_t sent =
        send(socket.descriptor(), from.data(), std::min(from.size(), kPieceBytes), MSG_NOSIGNAL);
    if (sent < 0) return SystemError("send");
    from.remove_prefix(static_cast<size_t>(sent));
  }
  return absl::OkStatus();
}

absl::Status ReceiveAll(const Socket& socket, absl::Span<std::byte> into) {
  while (!into.empty()) {
    const ssize_t received =
        recv(socket.descriptor(), into.data(), std::min(into.size(), kPieceBytes), 0);
    if (received < 0) return SystemError("recv");
    if (received == 0) return absl::UnavailableError("recv: the peer is gone");
    into.remove_prefix(static_cast<size_t>(received));
  }
  return absl::OkStatus();
}

absl::Status SendAtOnce(const Socket& socket) {
  constexpr int kOn = 1;
  if (setsockopt(socket.descriptor(), IPPROTO_TCP, TCP_NODELAY, &kOn, sizeof(kOn)) != 0) {
    return SystemError("setsockopt");
  }
  return absl::OkStatus();
}

// Until the peer is gone.
void Serve(const Socket& socket, size_t bytes) {
  const at::Tensor memory = EmptyLarge({static_cast<int64_t>(bytes)}, at::kByte);
  const absl::Span<std::byte> all(static_cast<std::byte*>(memory.data_ptr()), bytes);
  while (ReceiveAll(socket, all).ok() && SendAll(socket, all).ok()) {
  }
}

}  // namespace

Socket::~Socket() {
  if (descriptor_ >= 0) close(descriptor_);
}

absl::StatusOr<std::unique_ptr<RawTcp>> RawTcp::Connect(size_t bytes) {
  const Socket listener(socket(AF_INET, SOCK_STREAM, 0));
  Socket client(socket(AF_INET, SOCK_STREAM, 0));
  sockaddr_in address = {};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  socklen_t size = sizeof(address);
  if (listener.descriptor() < 0 || client.descriptor() < 0 ||
      bind(listener.descriptor(), any, size) != 0 || listen(listener.descriptor(), 1) != 0 ||
      getsockname(listener.descriptor(), any, &size) != 0 ||
      connect(client.descriptor(), any, size) != 0) {
    return SystemError("a connection over loopback");
  }
  Socket server(accept(listener.descriptor(), nullptr, nullptr));
  for (const Socket* side : {&client, &server}) {
    if (absl::Status status = SendAtOnce(*side); !status.ok()) return status;
  }
  return std::unique_ptr<RawTcp>(
      new RawTcp(std::move(client),
                 std::thread([bytes, server = std::move(server)] { Serve(server, bytes); })));
}

RawTcp::~RawTcp() {
  shutdown(client_.descriptor(), SHUT_RDWR);
  server_.join();
}

absl::Status RawTcp::Exchange(absl::Span<const std::byte> from, absl::Span<std::byte> into) const {
  if (absl::Status status = SendAll(client_, from); !status.ok()) return status;
  return ReceiveAll(client_, into);
}

}  // namespace lossd
