#include "server/service_manager.h"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>

#include "absl/strings/str_cat.h"

namespace lossd {
namespace {

// Stands for a service manager: a socket of an abstract name, and the variable that tells of it.
class ServiceManagerTest : public testing::Test {
 protected:
  void SetUp() override {
    const std::string name = absl::StrCat("@lossd-test-", getpid());
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::copy(name.begin() + 1, name.end(), address.sun_path + 1);
    socket_ = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    ASSERT_EQ(bind(socket_, reinterpret_cast<const sockaddr*>(&address),
                   static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size())),
              0);
    setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }

  void TearDown() override {
    unsetenv("NOTIFY_SOCKET");
    close(socket_);
  }

  std::string Heard() const {
    char text[64];
    const ssize_t size = recv(socket_, text, sizeof(text), 0);
    return size < 0 ? "" : std::string(text, static_cast<size_t>(size));
  }

 private:
  int socket_ = -1;
};

TEST_F(ServiceManagerTest, IsToldTheState) {
  EXPECT_TRUE(NotifyServiceManager("READY=1").ok());
  EXPECT_EQ(Heard(), "READY=1");
}

TEST_F(ServiceManagerTest, IsNotNeeded) {
  unsetenv("NOTIFY_SOCKET");
  EXPECT_TRUE(NotifyServiceManager("READY=1").ok());
  EXPECT_EQ(Heard(), "");
}

TEST_F(ServiceManagerTest, MayBeGoneOrHaveAnImpossibleName) {
  setenv("NOTIFY_SOCKET", "/nowhere/socket", 1);
  EXPECT_FALSE(NotifyServiceManager("READY=1").ok());
  setenv("NOTIFY_SOCKET", std::string(108, 'x').c_str(), 1);
  EXPECT_EQ(NotifyServiceManager("READY=1").code(), absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace lossd
