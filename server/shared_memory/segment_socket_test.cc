#include "server/shared_memory/segment_socket.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lossd/shared_memory/segment_packets.h"

namespace lossd {
namespace {

using testing::HasSubstr;

constexpr uint64_t kSize = 4096;
constexpr char kInstance[] = "sixteen bytes ..";

FileDescriptor Memfd() {
  FileDescriptor file(memfd_create("segment", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  EXPECT_EQ(ftruncate(file.get(), kSize), 0);
  EXPECT_EQ(fcntl(file.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW), 0);
  return file;
}

class SegmentSocketTest : public testing::Test {
 protected:
  SegmentSocketTest() {
    const std::string name = absl::StrCat("@lossd-test-", absl::BytesToHexString(DrawToken()));
    absl::StatusOr<std::unique_ptr<SegmentSocket>> socket =
        SegmentSocket::Listen(name, kInstance, segments_);
    EXPECT_TRUE(socket.ok()) << socket.status();
    socket_ = *std::move(socket);
  }

  // A client that has been greeted.
  FileDescriptor Connect() {
    absl::StatusOr<FileDescriptor> client = ConnectToUnixSocket(socket_->name(), absl::Seconds(20));
    EXPECT_TRUE(client.ok()) << client.status();
    const absl::StatusOr<Packet> greeting = ReceivePacket(*client);
    EXPECT_TRUE(greeting.ok()) << greeting.status();
    EXPECT_EQ(greeting->bytes, kInstance);
    return *std::move(client);
  }

  // What the server answers a packet.
  static std::string Ask(const FileDescriptor& client, const std::string& packet,
                         const FileDescriptor* file = nullptr) {
    EXPECT_TRUE(SendPacket(client, packet, file).ok());
    const absl::StatusOr<Packet> answer = ReceivePacket(client);
    EXPECT_TRUE(answer.ok()) << answer.status();
    return answer.ok() ? answer->bytes : "";
  }

  // Shares a segment: its token.
  static std::string Share(const FileDescriptor& client) {
    const FileDescriptor file = Memfd();
    const std::string answer = Ask(client, MakeOffer(kSize), &file);
    EXPECT_EQ(answer.size(), 1 + kTokenBytes);
    EXPECT_EQ(answer[0], kDone) << answer;
    return answer.substr(1);
  }

  void WaitForBytes(int64_t bytes) const {
    const absl::Time end = absl::Now() + absl::Minutes(1);
    while (segments_.bytes() != bytes && absl::Now() < end) absl::SleepFor(absl::Milliseconds(1));
    EXPECT_EQ(segments_.bytes(), bytes);
  }

  Segments segments_{1 << 30};
  std::unique_ptr<SegmentSocket> socket_;
};

TEST_F(SegmentSocketTest, TakesAndForgetsSegments) {
  const FileDescriptor client = Connect();
  const std::string token = Share(client);
  EXPECT_NE(segments_.Find(token), nullptr);
  EXPECT_EQ(Ask(client, token), std::string(1, kDone));
  EXPECT_EQ(segments_.Find(token), nullptr);
  EXPECT_EQ(Ask(client, token)[0], kRefused);
}

TEST_F(SegmentSocketTest, SegmentsGoWithTheirConnection) {
  const FileDescriptor other = Connect();
  const std::string kept = Share(other);
  {
    const FileDescriptor client = Connect();
    Share(client);
    Share(client);
    EXPECT_EQ(segments_.bytes(), 3 * kSize);
  }
  WaitForBytes(kSize);
  EXPECT_NE(segments_.Find(kept), nullptr);
  socket_ = nullptr;
  EXPECT_EQ(segments_.bytes(), 0);
}

TEST_F(SegmentSocketTest, NobodyForgetsAnothersSegments) {
  const FileDescriptor owner = Connect();
  const FileDescriptor other = Connect();
  const std::string token = Share(owner);
  EXPECT_EQ(Ask(other, token)[0], kRefused);
  EXPECT_NE(segments_.Find(token), nullptr);
}

TEST_F(SegmentSocketTest, SaysWhatIsWrong) {
  const FileDescriptor client = Connect();
  const FileDescriptor unsealed(memfd_create("segment", MFD_ALLOW_SEALING));
  ASSERT_EQ(ftruncate(unsealed.get(), kSize), 0);
  EXPECT_THAT(Ask(client, MakeOffer(kSize), &unsealed), HasSubstr("sealed"));
  EXPECT_THAT(Ask(client, MakeOffer(kSize)), HasSubstr("expected"));
  EXPECT_THAT(Ask(client, "?"), HasSubstr("expected"));
  const FileDescriptor file = Memfd();
  EXPECT_THAT(Ask(client, "?", &file), HasSubstr("expected"));
  EXPECT_THAT(Ask(client, std::string(kMaxPacketBytes + 1, 'x')), HasSubstr("a packet"));
  Share(client);  // And goes on.
}

TEST_F(SegmentSocketTest, SharesSoManyOnAConnection) {
  const FileDescriptor client = Connect();
  for (size_t i = 0; i < SegmentSocket::kMaxSegmentsOfConnection; ++i) Share(client);
  const FileDescriptor file = Memfd();
  EXPECT_THAT(Ask(client, MakeOffer(kSize), &file), HasSubstr("may share"));
}

TEST_F(SegmentSocketTest, HasSoManyConnections) {
  std::vector<FileDescriptor> clients;
  for (size_t i = 0; i < SegmentSocket::kMaxConnections; ++i) clients.push_back(Connect());
  const absl::StatusOr<FileDescriptor> refused =
      ConnectToUnixSocket(socket_->name(), absl::Seconds(20));
  ASSERT_TRUE(refused.ok()) << refused.status();
  EXPECT_EQ(ReceivePacket(*refused).status().code(), absl::StatusCode::kCancelled);
  Share(clients.front());
  clients.pop_back();
  // Another has its place as soon as the server has noticed.
  const absl::Time end = absl::Now() + absl::Minutes(1);
  bool greeted = false;
  while (!greeted && absl::Now() < end) {
    const absl::StatusOr<FileDescriptor> client =
        ConnectToUnixSocket(socket_->name(), absl::Seconds(20));
    greeted = client.ok() && ReceivePacket(*client).ok();
  }
  EXPECT_TRUE(greeted);
}

// One that offers without end and reads nothing gets no further than its answers fit.
TEST_F(SegmentSocketTest, LeavesThoseWhoDoNotRead) {
  const FileDescriptor client = Connect();
  while (SendPacket(client, "?").ok()) {
  }
  Share(Connect());
}

}  // namespace
}  // namespace lossd
