#ifndef TESTS_INTEGRATION_SERVER_PROCESS_H_
#define TESTS_INTEGRATION_SERVER_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace lossd {

// The program `lossd` in a process of its own, which ends with this object. One at a time.
class ServerProcess {
 public:
  // Starts it on a free port of the loopback interface, with these flags besides.
  explicit ServerProcess(const std::string& program, const std::vector<std::string>& flags = {});
  ~ServerProcess();

  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  // Where it serves, once it does; empty when it does not within half a minute.
  std::string Address() const;

  // Sends SIGTERM.
  void Terminate() const;

  // It stands still from now on, and goes on.
  void Freeze() const;
  void Thaw() const;

  // Its exit status, once it has ended; -1 when a signal ended it.
  int Wait();

 private:
  std::string port_file_;
  pid_t pid_ = 0;  // 0: it did not start, or was waited for.
};

}  // namespace lossd

#endif  // TESTS_INTEGRATION_SERVER_PROCESS_H_
