#include "lossd/shared_memory/unix_socket.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <filesystem>
#include <string>
#include <thread>

#include "absl/strings/str_cat.h"
#include "lossd/shared_memory/mapping.h"

namespace lossd {
namespace {

constexpr absl::Duration kTimeout = absl::Seconds(10);

FileDescriptor Accept(const FileDescriptor& listener) {
  return FileDescriptor(accept(listener.get(), nullptr, nullptr));
}

class UnixSocketTest : public testing::TestWithParam<bool> {
 protected:
  std::string Name() const {
    const std::string name = absl::StrCat("lossd_unix_socket_test_", getpid());
    return GetParam() ? "@" + name : testing::TempDir() + name;
  }
  void TearDown() override {
    if (!GetParam()) std::filesystem::remove(Name());
  }
};

INSTANTIATE_TEST_SUITE_P(Names, UnixSocketTest, testing::Bool(),
                         [](const auto& name) { return name.param ? "Abstract" : "Path"; });

TEST_P(UnixSocketTest, CarriesPacketsAndFiles) {
  const absl::StatusOr<FileDescriptor> listener = ListenOnUnixSocket(Name());
  ASSERT_TRUE(listener.ok()) << listener.status();
  const absl::StatusOr<FileDescriptor> client = ConnectToUnixSocket(Name(), kTimeout);
  ASSERT_TRUE(client.ok()) << client.status();
  const FileDescriptor server = Accept(*listener);

  const FileDescriptor file(memfd_create("test", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(file.get(), 10), 0);
  ASSERT_TRUE(SendPacket(*client, "first").ok());
  ASSERT_TRUE(SendPacket(*client, "second", &file).ok());
  const absl::StatusOr<Packet> first = ReceivePacket(server);
  ASSERT_TRUE(first.ok()) << first.status();
  EXPECT_EQ(first->bytes, "first");
  EXPECT_TRUE(first->files.empty());
  const absl::StatusOr<Packet> second = ReceivePacket(server);
  ASSERT_TRUE(second.ok()) << second.status();
  EXPECT_EQ(second->bytes, "second");
  ASSERT_EQ(second->files.size(), 1);

  // The same file, whose memory both see.
  const absl::StatusOr<Mapping> here = Mapping::Of(file, 10);
  const absl::StatusOr<Mapping> there = Mapping::Of(second->files[0], 10);
  ASSERT_TRUE(here.ok() && there.ok());
  here->bytes()[3] = std::byte{7};
  EXPECT_EQ(there->bytes()[3], std::byte{7});
}

TEST_P(UnixSocketTest, RefusesWhatIsTooLarge) {
  const absl::StatusOr<FileDescriptor> listener = ListenOnUnixSocket(Name());
  const absl::StatusOr<FileDescriptor> client = ConnectToUnixSocket(Name(), kTimeout);
  ASSERT_TRUE(client.ok()) << client.status();
  const FileDescriptor server = Accept(*listener);
  ASSERT_TRUE(SendPacket(*client, std::string(kMaxPacketBytes + 1, 'x')).ok());
  EXPECT_EQ(ReceivePacket(server).status().code(), absl::StatusCode::kInvalidArgument);
}

TEST_P(UnixSocketTest, TellsThatThePeerIsGone) {
  const absl::StatusOr<FileDescriptor> listener = ListenOnUnixSocket(Name());
  absl::StatusOr<FileDescriptor> client = ConnectToUnixSocket(Name(), kTimeout);
  ASSERT_TRUE(client.ok()) << client.status();
  const FileDescriptor server = Accept(*listener);
  {
    const FileDescriptor closed = *std::move(client);
  }
  EXPECT_EQ(ReceivePacket(server).status().code(), absl::StatusCode::kCancelled);
  EXPECT_FALSE(SendPacket(server, "anybody?").ok());
}

// As in programs with timers or profilers.
TEST_P(UnixSocketTest, WaitsOnWhenASignalComes) {
  const absl::StatusOr<FileDescriptor> listener = ListenOnUnixSocket(Name());
  const absl::StatusOr<FileDescriptor> client = ConnectToUnixSocket(Name(), kTimeout);
  ASSERT_TRUE(client.ok()) << client.status();
  const FileDescriptor server = Accept(*listener);
  struct sigaction handled = {};
  handled.sa_handler = [](int) {};
  struct sigaction before = {};
  ASSERT_EQ(sigaction(SIGUSR1, &handled, &before), 0);
  std::jthread peer([&server, receiver = pthread_self()] {
    for (int i = 0; i < 5; ++i) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      pthread_kill(receiver, SIGUSR1);
    }
    EXPECT_TRUE(SendPacket(server, "here").ok());
  });
  const absl::StatusOr<Packet> packet = ReceivePacket(*client);
  ASSERT_TRUE(packet.ok()) << packet.status();
  EXPECT_EQ(packet->bytes, "here");
  peer.join();
  sigaction(SIGUSR1, &before, nullptr);
}

TEST_P(UnixSocketTest, TakesANameOnceButOverFromTheDead) {
  {
    const absl::StatusOr<FileDescriptor> listener = ListenOnUnixSocket(Name());
    ASSERT_TRUE(listener.ok()) << listener.status();
    EXPECT_EQ(ListenOnUnixSocket(Name()).status().code(), absl::StatusCode::kUnavailable);
  }
  EXPECT_EQ(ConnectToUnixSocket(Name(), kTimeout).status().code(), absl::StatusCode::kUnavailable);
  EXPECT_TRUE(ListenOnUnixSocket(Name()).ok());
}

TEST(UnixSocketNameTest, MustFit) {
  EXPECT_EQ(ListenOnUnixSocket("").status().code(), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(ListenOnUnixSocket(std::string(108, 'x')).status().code(),
            absl::StatusCode::kInvalidArgument);
}

}  // namespace
}  // namespace lossd
