#include "server/shared_memory/segments.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cstdint>
#include <string>
#include <utility>

namespace lossd {
namespace {

using testing::HasSubstr;

constexpr uint64_t kSize = 5000;
constexpr int kSeals = F_SEAL_SHRINK | F_SEAL_GROW;

FileDescriptor Memfd(uint64_t size = kSize, int seals = kSeals, unsigned flags = 0) {
  FileDescriptor file(memfd_create("segment", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags));
  EXPECT_EQ(ftruncate(file.get(), static_cast<off_t>(size)), 0);
  EXPECT_EQ(fcntl(file.get(), F_ADD_SEALS, seals), 0);
  return file;
}

void ExpectRefused(const FileDescriptor& file, uint64_t size, const std::string& words) {
  Segments segments(1 << 20);
  const absl::Status status = segments.Take(file, size).status();
  EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(words));
  EXPECT_EQ(segments.bytes(), 0);
}

TEST(SegmentsTest, AreTheClientsMemory) {
  Segments segments(1 << 20);
  const FileDescriptor file = Memfd();
  const absl::StatusOr<std::string> token = segments.Take(file, kSize);
  ASSERT_TRUE(token.ok()) << token.status();
  const absl::StatusOr<Mapping> client = Mapping::Of(file, kSize);
  ASSERT_TRUE(client.ok());
  client->bytes()[kSize - 1] = std::byte{5};
  const Segments::Segment segment = segments.Find(*token);
  ASSERT_NE(segment, nullptr);
  EXPECT_EQ(segment->bytes().size(), kSize);
  EXPECT_EQ(segment->bytes()[kSize - 1], std::byte{5});
  EXPECT_EQ(segments.Find(DrawToken()), nullptr);
  EXPECT_EQ(segments.Find(""), nullptr);
}

TEST(SegmentsTest, StayWhileTheyAreUsed) {
  Segments segments(1 << 20);
  const FileDescriptor file = Memfd();
  const absl::StatusOr<std::string> token = segments.Take(file, kSize);
  ASSERT_TRUE(token.ok()) << token.status();
  Segments::Segment segment = segments.Find(*token);
  EXPECT_TRUE(segments.Forget(*token));
  EXPECT_FALSE(segments.Forget(*token));
  EXPECT_EQ(segments.Find(*token), nullptr);
  segment->bytes()[0] = std::byte{1};
  EXPECT_EQ(segments.bytes(), kSize);
  segment = nullptr;
  EXPECT_EQ(segments.bytes(), 0);
}

TEST(SegmentsTest, HaveSoManyBytesTogether) {
  Segments segments(2 * kSize);
  const absl::StatusOr<std::string> first = segments.Take(Memfd(), kSize);
  ASSERT_TRUE(first.ok()) << first.status();
  const absl::Status refused = segments.Take(Memfd(kSize + 1), kSize + 1).status();
  EXPECT_EQ(refused.code(), absl::StatusCode::kResourceExhausted) << refused;
  EXPECT_TRUE(segments.Take(Memfd(), kSize).ok());
  EXPECT_TRUE(segments.Forget(*first));
  EXPECT_TRUE(segments.Take(Memfd(), kSize).ok());
  EXPECT_FALSE(segments.Take(Memfd(), UINT64_MAX).ok());
}

// Each of these could lose its memory while the server touches it.
TEST(SegmentsTest, AreNothingElse) {
  ExpectRefused(Memfd(kSize, 0), kSize, "sealed");
  ExpectRefused(Memfd(kSize, F_SEAL_GROW), kSize, "sealed");
  ExpectRefused(Memfd(kSize, F_SEAL_SHRINK), kSize, "sealed");
  ExpectRefused(FileDescriptor(), kSize, "memfd");
  ExpectRefused(FileDescriptor(open("/proc/self/exe", O_RDONLY)), kSize, "memfd");
  ExpectRefused(FileDescriptor(open("/dev/zero", O_RDWR)), kSize, "memfd");
  // A file of a tmpfs, which may be full, has no such seals.
  ExpectRefused(FileDescriptor(open("/dev/shm", O_TMPFILE | O_RDWR, 0600)), kSize, "memfd");
  const FileDescriptor huge(memfd_create("huge", MFD_HUGETLB | MFD_ALLOW_SEALING));
  if (huge.valid()) {
    ASSERT_EQ(ftruncate(huge.get(), 2 << 20), 0);
    ASSERT_EQ(fcntl(huge.get(), F_ADD_SEALS, kSeals), 0);
    ExpectRefused(huge, 2 << 20, "ordinary pages");
  }
}

TEST(SegmentsTest, HaveTheSizeThatIsSaid) {
  ExpectRefused(Memfd(), kSize + 1, "5000 bytes, announced as one of 5001");
  ExpectRefused(Memfd(), kSize - 1, "5000 bytes");
  ExpectRefused(Memfd(0), 0, "0 bytes");
}

TEST(SegmentsTest, MustBeWritable) {
  Segments segments(1 << 20);
  EXPECT_FALSE(segments.Take(Memfd(kSize, kSeals | F_SEAL_WRITE), kSize).ok());
  EXPECT_EQ(segments.bytes(), 0);
}

// What a client does to its memory meanwhile.
TEST(SegmentsTest, SurviveHoles) {
  Segments segments(1 << 20);
  const FileDescriptor file = Memfd();
  const absl::StatusOr<std::string> token = segments.Take(file, kSize);
  ASSERT_TRUE(token.ok()) << token.status();
  const Segments::Segment segment = segments.Find(*token);
  segment->bytes()[10] = std::byte{1};
  ASSERT_EQ(fallocate(file.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, kSize), 0);
  EXPECT_EQ(segment->bytes()[10], std::byte{0});
  EXPECT_NE(ftruncate(file.get(), 0), 0);
}

TEST(SegmentsTest, HaveTokensOfTheirOwn) { EXPECT_NE(DrawToken(), DrawToken()); }

}  // namespace
}  // namespace lossd
