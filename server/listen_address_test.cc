#include "server/listen_address.h"

#include <gtest/gtest.h>

#include "lossd/base/error.h"

namespace lossd {
namespace {

TEST(ListenAddressTest, TellsAddressesFromOthers) {
  for (const char* address : {"127.0.0.1:0", "localhost:65535", "[::]:50051", "losses.example:1",
                              "unix:/run/lossd.sock", "unix-abstract:lossd"}) {
    EXPECT_TRUE(CheckListenAddress(address).ok()) << CheckListenAddress(address);
  }
  for (const char* address :
       {"", "127.0.0.1", "50051", ":50051", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:-1",
        "127.0.0.1:+1", "127.0.0.1:http", "::1:50051", "[::1]", "[::1]x:1"}) {
    EXPECT_EQ(ErrorField(CheckListenAddress(address)), "listen") << address;
  }
}

TEST(ListenAddressTest, TellsPortsFromOtherAddresses) {
  EXPECT_TRUE(CheckHostAndPort("http_listen", "127.0.0.1:0").ok());
  for (const char* address : {"unix:/run/lossd.sock", "unix:1", "127.0.0.1"}) {
    EXPECT_EQ(ErrorField(CheckHostAndPort("http_listen", address)), "http_listen") << address;
  }
}

TEST(ListenAddressTest, KnowsWhatOtherMachinesReach) {
  for (const char* address : {"127.0.0.1:1", "127.8.9.1:1", "localhost:1", "[::1]:1",
                              "unix:/run/lossd.sock", "unix-abstract:lossd"}) {
    EXPECT_TRUE(IsLocal(address)) << address;
  }
  for (const char* address : {"0.0.0.0:1", "[::]:1", "10.0.0.7:1", "losses.example:1",
                              "localhost.example:1", "[::ffff:10.0.0.7]:1"}) {
    EXPECT_FALSE(IsLocal(address)) << address;
  }
}

}  // namespace
}  // namespace lossd
