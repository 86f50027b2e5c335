#ifndef LOSSD_SHARED_MEMORY_UNIX_SOCKET_H_
#define LOSSD_SHARED_MEMORY_UNIX_SOCKET_H_

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lossd/shared_memory/file_descriptor.h"

// Unix sockets that carry packets, and open files with them. A socket's name is a path, or an
// abstract name that begins with "@".
namespace lossd {

// Binds a socket to the name and listens. A path that is left over from a process that is gone is
// taken over. UNAVAILABLE where the name is in use or cannot be had.
absl::StatusOr<FileDescriptor> ListenOnUnixSocket(const std::string& name);

// Connects to a socket. Sending and receiving on it take `timeout` at most.
absl::StatusOr<FileDescriptor> ConnectToUnixSocket(const std::string& name, absl::Duration timeout);

// What comes in one piece.
struct Packet {
  std::string bytes;
  std::vector<FileDescriptor> files;
};

// The most bytes a packet may have.
inline constexpr size_t kMaxPacketBytes = 512;

// Sends a packet, with a file where one is given.
absl::Status SendPacket(const FileDescriptor& socket, absl::string_view bytes,
                        const FileDescriptor* file = nullptr);

// Receives the next packet, at most one file with it. CANCELLED when the peer has closed the
// connection; INVALID_ARGUMENT for larger packets and more files.
absl::StatusOr<Packet> ReceivePacket(const FileDescriptor& socket);

}  // namespace lossd

#endif  // LOSSD_SHARED_MEMORY_UNIX_SOCKET_H_
