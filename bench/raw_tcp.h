#ifndef BENCH_RAW_TCP_H_
#define BENCH_RAW_TCP_H_

#include <cstddef>
#include <memory>
#include <thread>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"

namespace lossd {

// A socket, closed with this object.
class Socket {
 public:
  explicit Socket(int descriptor) : descriptor_(descriptor) {}
  Socket(Socket&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Socket& operator=(Socket&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  ~Socket();

  int descriptor() const { return descriptor_; }

 private:
  int descriptor_;
};

// What a transport over loopback is measured against: a plain TCP connection to a thread that
// receives some bytes and then sends as many, from and into memory that is kept.
class RawTcp {
 public:
  // Connects to a thread that exchanges so many bytes at a time.
  static absl::StatusOr<std::unique_ptr<RawTcp>> Connect(size_t bytes);

  // Ends it.
  ~RawTcp();

  // Sends the bytes of `from`, then receives those of `into`.
  absl::Status Exchange(absl::Span<const std::byte> from, absl::Span<std::byte> into) const;

 private:
  RawTcp(Socket client, std::thread server)
      : client_(std::move(client)), server_(std::move(server)) {}

  Socket client_;
  std::thread server_;
};

}  // namespace lossd

#endif  // BENCH_RAW_TCP_H_
