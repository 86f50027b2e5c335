#include "lossd/wire/chunk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/v1/service.pb.h"

namespace lossd {
namespace {

using testing::ElementsAre;

std::vector<Chunk> Cut(const std::vector<int64_t>& sizes) {
  std::vector<Chunk> chunks;
  ChunkCutter cutter(sizes);
  while (const std::optional<Chunk> chunk = cutter.Next()) chunks.push_back(*chunk);
  EXPECT_FALSE(cutter.Next().has_value());
  return chunks;
}

TEST(ChunkCutterTest, CutsTensorAfterTensor) {
  constexpr uint64_t kFull = kChunkBytes;
  EXPECT_THAT(Cut({}), ElementsAre());
  EXPECT_THAT(Cut({1, 2 * kChunkBytes, kChunkBytes + 1}),
              ElementsAre(Chunk{0, 0, 1}, Chunk{1, 0, kFull}, Chunk{1, kFull, kFull},
                          Chunk{2, 0, kFull}, Chunk{2, kFull, 1}));
}

class ChunkCursorTest : public testing::Test {
 protected:
  // The field that is wrong about a chunk, or "none".
  std::string Take(const Chunk& chunk) {
    const absl::Status taken = cursor_.Take(chunk);
    return taken.ok() ? "none" : ErrorField(taken).value_or("no field");
  }

  ChunkCursor cursor_{{{"predictions[output]", 10}, {"labels", 5}}};
};

TEST_F(ChunkCursorTest, FollowsChunksOfAnySize) {
  for (const Chunk& chunk : {Chunk{0, 0, 3}, {0, 3, 1}, {0, 4, 6}, {1, 0, 5}}) {
    EXPECT_FALSE(cursor_.CheckComplete().ok());
    EXPECT_EQ(Take(chunk), "none");
  }
  EXPECT_TRUE(cursor_.CheckComplete().ok());
  EXPECT_EQ(Take({1, 5, 1}), "tensor");
}

TEST_F(ChunkCursorTest, RefusesAllButTheNextChunk) {
  EXPECT_EQ(Take({0, 0, 4}), "none");
  EXPECT_EQ(Take({0, 5, 1}), "offset") << "a gap";
  EXPECT_EQ(Take({0, 3, 2}), "offset") << "an overlap";
  EXPECT_EQ(Take({0, 0, 4}), "offset") << "a duplicate";
  EXPECT_EQ(Take({0, 4, 0}), "data") << "nothing";
  EXPECT_EQ(Take({0, 4, 7}), "data") << "beyond the tensor";
  EXPECT_EQ(Take({0, 4, ~uint64_t{0}}), "data") << "beyond all memory";
  EXPECT_EQ(Take({0, ~uint64_t{0}, 1}), "offset") << "before the beginning";
  EXPECT_EQ(Take({1, 0, 5}), "tensor") << "too early";
  EXPECT_EQ(Take({2, 0, 1}), "tensor") << "no such tensor";
  // None of them has moved it.
  EXPECT_EQ(Take({0, 4, 6}), "none");
  EXPECT_EQ(Take({0, 10, 1}), "tensor") << "of a tensor that is complete";
}

TEST_F(ChunkCursorTest, NamesTheTensorThatLacksBytes) {
  ASSERT_EQ(Take({0, 0, 4}), "none");
  EXPECT_EQ(cursor_.CheckComplete().message(),
            "predictions[output].data: got 4 bytes before the stream ended, expected 10");
}

// Parses a message that lies in pieces of so many bytes, empty ones between them.
absl::StatusOr<ChunkInMessage> Parse(const std::string& message, size_t piece_size = 1000) {
  std::vector<absl::string_view> pieces;
  for (size_t i = 0; i < message.size(); i += piece_size) {
    pieces.push_back(absl::string_view(message).substr(i, piece_size));
    pieces.emplace_back();
  }
  return ParseChunk(pieces);
}

v1::ComputeStreamRequest Message(uint32_t tensor, uint64_t offset, const std::string& data) {
  v1::ComputeStreamRequest message;
  message.set_tensor(tensor);
  message.set_offset(offset);
  message.set_data(data);
  return message;
}

TEST(ParseChunkTest, ReadsWhatProtobufWritesWhereverItIsCut) {
  for (const v1::ComputeStreamRequest& message :
       {Message(0, 0, "x"), Message(3, uint64_t{1} << 40, std::string(300, 'x')),
        Message(~uint32_t{0}, ~uint64_t{0}, "xyz"), v1::ComputeStreamRequest()}) {
    const std::string bytes = message.SerializeAsString();
    for (size_t piece_size = 1; piece_size < 8; ++piece_size) {
      const absl::StatusOr<ChunkInMessage> parsed = Parse(bytes, piece_size);
      ASSERT_TRUE(parsed.ok()) << parsed.status();
      EXPECT_EQ(parsed->chunk, (Chunk{message.tensor(), message.offset(), message.data().size()}));
      EXPECT_EQ(bytes.substr(parsed->data_begin), message.data());
    }
  }
}

TEST(ParseChunkTest, SkipsFieldsItDoesNotKnow) {
  // Fields 4 to 7 and, after the data, 16: a varint, 8 bytes, 4 bytes, a string, and a varint. A
  // tensor that is no number is none of ours.
  const std::string before(
      "\x20\x96\x01\x29"
      "12345678"
      "\x35"
      "1234"
      "\x3A\x03"
      "abc"
      "\x12\x01x",
      25);
  const std::string after("\x80\x01\x05", 3);
  const std::string data = Message(1, 2, "data").SerializeAsString();
  const absl::StatusOr<ChunkInMessage> parsed = Parse(before + data + after, 2);
  ASSERT_TRUE(parsed.ok()) << parsed.status();
  EXPECT_EQ(parsed->chunk, (Chunk{1, 2, 4}));
  EXPECT_EQ((before + data + after).substr(parsed->data_begin, 4), "data");
}

TEST(ParseChunkTest, RefusesWhatIsNoMessage) {
  const std::string whole = Message(300, 300, "data").SerializeAsString();
  // Between two fields a message may end, if it has lost some.
  const std::vector<size_t> ends = {0, 3, 6};
  for (size_t size = 0; size < whole.size(); ++size) {
    const bool at_end = std::ranges::find(ends, size) != ends.end();
    EXPECT_EQ(Parse(whole.substr(0, size)).ok(), at_end) << size;
  }
  const std::string endless(11, '\xFF');
  EXPECT_FALSE(Parse(endless).ok());
  EXPECT_FALSE(Parse(absl::StrCat("\x10", endless)).ok()) << "a number of more than 64 bits";
  EXPECT_FALSE(Parse(absl::StrCat("\x10", std::string(9, '\xFF'), "\x02")).ok()) << "one of 65";
  EXPECT_FALSE(Parse("\x7A\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01").ok()) << "endless data";
  EXPECT_FALSE(Parse("\x22\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFF\x01").ok()) << "an endless field";
  EXPECT_FALSE(Parse("\x23\x24").ok()) << "a group";
  EXPECT_FALSE(Parse("\x26").ok()) << "a wire type that there is not";
}

TEST(ParseChunkTest, RefusesWhatProtobufWouldTake) {
  const std::string chunk = Message(0, 0, "data").SerializeAsString();
  EXPECT_EQ(ErrorField(Parse(chunk + chunk).status()), "data");
  v1::ComputeStreamRequest with_header = Message(0, 0, "data");
  with_header.mutable_header()->set_stage("val");
  EXPECT_EQ(ErrorField(Parse(with_header.SerializeAsString()).status()), "header");
}

TEST(ChunkFrontTest, MakesAMessageOfWhatFollows) {
  for (const Chunk& chunk : {Chunk{0, 0, 1}, {3, uint64_t{1} << 40, 300}, {1u << 31, 7, 70000}}) {
    const std::string data(chunk.size, 'x');
    v1::ComputeStreamResponse message;
    ASSERT_TRUE(message.ParseFromString(ChunkFront(chunk) + data));
    EXPECT_EQ((Chunk{message.tensor(), message.offset(), message.data().size()}), chunk);
  }
}

TEST(CopyBytesTest, GathersPieces) {
  const std::vector<absl::string_view> pieces = {"ab", "", "cde", "f", "gh"};
  const std::string all = "abcdefgh";
  for (size_t begin = 0; begin <= all.size(); ++begin) {
    for (size_t size = 0; begin + size <= all.size(); ++size) {
      std::vector<uint8_t> copy(size);
      CopyBytes(pieces, begin, absl::MakeSpan(copy));
      EXPECT_EQ(std::string(copy.begin(), copy.end()), all.substr(begin, size));
    }
  }
}

}  // namespace
}  // namespace lossd
