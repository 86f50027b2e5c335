#ifndef SERVER_SHARED_MEMORY_SEGMENT_SOCKET_H_
#define SERVER_SHARED_MEMORY_SEGMENT_SOCKET_H_

#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lossd/shared_memory/file_descriptor.h"
#include "lossd/shared_memory/unix_socket.h"
#include "server/shared_memory/segments.h"

namespace lossd {

// Takes segments from clients of this host over a Unix socket (docs/shared-memory.md), and forgets
// them when their client goes. One thread serves all: segments are shared once and used for long.
class SegmentSocket {
 public:
  // Bounds on descriptors, some of which a segment and a connection take each.
  static constexpr size_t kMaxConnections = 256;
  static constexpr size_t kMaxSegmentsOfConnection = 64;

  // Serves until destruction. `name` is a path or an abstract name ("@…"); `instance` is what
  // clients are greeted with. `segments` must outlive it. UNAVAILABLE when the name cannot be had.
  static absl::StatusOr<std::unique_ptr<SegmentSocket>> Listen(const std::string& name,
                                                               const std::string& instance,
                                                               Segments& segments);
  ~SegmentSocket();

  const std::string& name() const { return name_; }

 private:
  struct Connection {
    FileDescriptor socket;
    std::vector<std::string> tokens;  // Of the segments it has shared.
  };

  SegmentSocket(std::string name, std::string instance, Segments& segments, FileDescriptor listener,
                FileDescriptor stop);

  void Serve();
  void Accept();
  // Whether the connection goes on.
  bool Answer(Connection& connection);
  absl::StatusOr<std::string> Handle(Connection& connection, const Packet& packet);
  void End(Connection& connection);

  const std::string name_;
  const std::string instance_;
  Segments& segments_;
  const FileDescriptor listener_;
  const FileDescriptor stop_;  // Readable once the thread is to end.
  std::vector<Connection> connections_;
  std::thread thread_;  // Last: it uses the rest.
};

}  // namespace lossd

#endif  // SERVER_SHARED_MEMORY_SEGMENT_SOCKET_H_
