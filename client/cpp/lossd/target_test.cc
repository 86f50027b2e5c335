#include "lossd/target.h"

#include <gmock/gmock.h>
#include <grpc/grpc.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <string>

#include "lossd/base/error.h"

namespace lossd {
namespace {

using testing::HasSubstr;

class TargetTest : public testing::Test {
 protected:
  TargetTest() { SetProxy(nullptr, nullptr); }
  ~TargetTest() override { SetProxy(nullptr, nullptr); }

  static void SetProxy(const char* http_proxy, const char* no_proxy) {
    for (const char* variable : {"grpc_proxy", "https_proxy", "http_proxy", "no_grpc_proxy"}) {
      unsetenv(variable);
    }
    Set("http_proxy", http_proxy);
    Set("no_proxy", no_proxy);
  }

  static Target Read(const std::string& address) {
    const absl::StatusOr<Target> target = ReadTarget(address);
    EXPECT_TRUE(target.ok()) << target.status();
    return target.value_or(Target());
  }

  static bool TakesTurns(const std::string& address) {
    return Read(address).options.contains(GRPC_ARG_SERVICE_CONFIG);
  }

  static bool AvoidsProxies(const std::string& address) {
    return Read(address).options.contains(GRPC_ARG_ENABLE_HTTP_PROXY);
  }

 private:
  static void Set(const char* variable, const char* value) {
    value == nullptr ? unsetenv(variable) : setenv(variable, value, 1);
  }
};

TEST_F(TargetTest, LeavesOneServerAsItIs) {
  for (const char* address : {"losses:50051", "unix:/run/lossd.sock", "dns:///losses:1"}) {
    EXPECT_EQ(Read(address).uri, address);
  }
  EXPECT_FALSE(TakesTurns("losses:50051"));
}

TEST_F(TargetTest, HasSeveralTakeTurns) {
  EXPECT_EQ(Read("127.0.0.1:1, 127.0.0.2:2").uri, "ipv4:127.0.0.1:1,127.0.0.2:2");
  EXPECT_EQ(Read("[::1]:1,[::2]:2").uri, "ipv6:[::1]:1,[::2]:2");
  // gRPC takes those of one kind.
  EXPECT_EQ(Read("[::1]:1,127.0.0.1:1").uri, "ipv4:127.0.0.1:1");
  EXPECT_TRUE(TakesTurns("127.0.0.1:1,127.0.0.2:2"));
  EXPECT_TRUE(TakesTurns("ipv4:127.0.0.1:1,127.0.0.2:2"));
  EXPECT_TRUE(TakesTurns("dns:///losses:1"));
}

TEST_F(TargetTest, SaysWhatIsWrong) {
  EXPECT_EQ(ErrorField(ReadTarget(" ").status()), "target");
  const absl::Status unknown = ReadTarget("a.invalid:1,b.invalid:2").status();
  EXPECT_TRUE(absl::IsUnavailable(unknown)) << unknown;
  EXPECT_THAT(std::string(unknown.message()), HasSubstr("b.invalid:2: "));
}

TEST_F(TargetTest, NamesTheProxyWithoutItsPassword) {
  SetProxy("http://me:secret@proxy:3128", nullptr);
  EXPECT_EQ(Read("losses:50051").proxy, "http_proxy=http://proxy:3128");
  EXPECT_EQ(Read("dns:///losses:50051").proxy, "http_proxy=http://proxy:3128");
  SetProxy("http://proxy:3128", "example, losses");
  EXPECT_EQ(Read("losses:50051").proxy, "");
}

TEST_F(TargetTest, UsesNoProxyOnThisMachine) {
  SetProxy("http://proxy:3128", nullptr);
  for (const char* address : {"localhost:1", "127.0.0.9:1", "[::1]:1", "unix:/run/lossd.sock",
                              "ipv4:127.0.0.1:1", "127.0.0.1:1,127.0.0.2:2"}) {
    EXPECT_TRUE(AvoidsProxies(address)) << address;
    EXPECT_EQ(Read(address).proxy, "") << address;
  }
  EXPECT_FALSE(AvoidsProxies("losses:50051"));
}

}  // namespace
}  // namespace lossd
