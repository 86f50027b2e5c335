#include "lossd/shared_memory/unix_socket.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"

namespace lossd {
namespace {

constexpr int kBacklog = 64;

struct Address {
  sockaddr_un address;
  socklen_t size;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&address); }
};

absl::StatusOr<Address> AddressOf(const std::string& name) {
  Address result = {.address = {.sun_family = AF_UNIX, .sun_path = {}}, .size = 0};
  // Room for the 0 that ends a path.
  if (name.empty() || name.size() >= sizeof(result.address.sun_path)) {
    return absl::InvalidArgumentError(absl::StrCat("no name of a Unix socket: '", name, "'"));
  }
  name.copy(result.address.sun_path, name.size());
  const bool abstract = name[0] == '@';
  if (abstract) result.address.sun_path[0] = '\0';
  const size_t length = name.size() + (abstract ? 0 : 1);
  result.size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + length);
  return result;
}

FileDescriptor NewSocket() {
  return FileDescriptor(socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
}

// A path that nobody listens at: whoever did is gone.
bool IsLeftOver(const std::string& name, const Address& address) {
  struct stat found = {};
  if (name[0] == '@' || lstat(name.c_str(), &found) != 0 || !S_ISSOCK(found.st_mode)) return false;
  const FileDescriptor probe = NewSocket();
  return connect(probe.get(), address.get(), address.size) != 0 && errno == ECONNREFUSED;
}

// What a call of the system gives that no signal interrupts: with a timeout even those that are
// handled without a word would.
template <typename Call>
auto Uninterrupted(const Call& call) {
  auto result = call();
  while (result < 0 && errno == EINTR) result = call();
  return result;
}

// Room for one descriptor, as the system wants it.
union FileRoom {
  std::array<char, CMSG_SPACE(sizeof(int))> bytes;
  cmsghdr aligned;
};

}  // namespace

absl::StatusOr<FileDescriptor> ListenOnUnixSocket(const std::string& name) {
  const absl::StatusOr<Address> address = AddressOf(name);
  if (!address.ok()) return address.status();
  if (IsLeftOver(name, *address)) unlink(name.c_str());
  FileDescriptor socket = NewSocket();
  if (!socket.valid() || bind(socket.get(), address->get(), address->size) != 0 ||
      listen(socket.get(), kBacklog) != 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot listen on the Unix socket ", name, ": ", std::strerror(errno)));
  }
  return socket;
}

absl::StatusOr<FileDescriptor> ConnectToUnixSocket(const std::string& name,
                                                   absl::Duration timeout) {
  const absl::StatusOr<Address> address = AddressOf(name);
  if (!address.ok()) return address.status();
  FileDescriptor socket = NewSocket();
  const timeval wait = absl::ToTimeval(timeout);
  if (!socket.valid() ||
      setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait)) != 0 ||
      setsockopt(socket.get(), SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait)) != 0 ||
      Uninterrupted([&] { return connect(socket.get(), address->get(), address->size); }) != 0) {
    return absl::UnavailableError(
        absl::StrCat("cannot connect to the Unix socket ", name, ": ", std::strerror(errno)));
  }
  return socket;
}

absl::Status SendPacket(const FileDescriptor& socket, absl::string_view bytes,
                        const FileDescriptor* file) {
  iovec data = {.iov_base = const_cast<char*>(bytes.data()), .iov_len = bytes.size()};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  FileRoom room = {};
  if (file != nullptr) {
    message.msg_control = room.bytes.data();
    message.msg_controllen = room.bytes.size();
    cmsghdr* const header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    const int descriptor = file->get();
    std::memcpy(CMSG_DATA(header), &descriptor, sizeof(descriptor));
  }
  if (Uninterrupted([&] { return sendmsg(socket.get(), &message, MSG_NOSIGNAL); }) < 0) {
    return absl::ErrnoToStatus(errno, "cannot send a packet");
  }
  return absl::OkStatus();
}

absl::StatusOr<Packet> ReceivePacket(const FileDescriptor& socket) {
  std::array<char, kMaxPacketBytes> bytes = {};
  iovec data = {.iov_base = bytes.data(), .iov_len = bytes.size()};
  FileRoom room = {};
  msghdr message = {};
  message.msg_iov = &data;
  message.msg_iovlen = 1;
  message.msg_control = room.bytes.data();
  message.msg_controllen = room.bytes.size();
  const ssize_t size =
      Uninterrupted([&] { return recvmsg(socket.get(), &message, MSG_CMSG_CLOEXEC); });
  if (size < 0) return absl::ErrnoToStatus(errno, "cannot receive a packet");
  // First of all, so that no descriptor is lost.
  Packet packet = {.bytes = std::string(bytes.data(), static_cast<size_t>(size)), .files = {}};
  for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
       header = CMSG_NXTHDR(&message, header)) {
    if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
    for (size_t at = 0; at + CMSG_LEN(sizeof(int)) <= header->cmsg_len; at += sizeof(int)) {
      int descriptor = -1;
      std::memcpy(&descriptor, CMSG_DATA(header) + at, sizeof(descriptor));
      packet.files.emplace_back(descriptor);
    }
  }
  if ((message.msg_flags & (MSG_TRUNC | MSG_CTRUNC)) != 0) {
    return absl::InvalidArgumentError(
        absl::StrCat("a packet of more than ", kMaxPacketBytes, " bytes, or with several files"));
  }
  if (size == 0 && packet.files.empty()) return absl::CancelledError("the connection was closed");
  return packet;
}

}  // namespace lossd
