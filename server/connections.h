#ifndef SERVER_CONNECTIONS_H_
#define SERVER_CONNECTIONS_H_

#include <atomic>
#include <cstdint>

namespace lossd {

// Counts the connections that a server of gRPC in this process has, by gRPC's own books (channelz),
// which it keeps whether or not clients may read them. Thread-safe.
class Connections {
 public:
  // From now on those of the server that was made last.
  void CountThoseOfNewestServer();

  // How many are open, their handshakes behind them.
  int64_t open() const;

 private:
  std::atomic<intptr_t> server_ = 0;  // Its number in the books; 0: none.
};

}  // namespace lossd

#endif  // SERVER_CONNECTIONS_H_
