#include "lossd/wire/stream_receiver.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "lossd/base/error.h"
#include "lossd/v1/service.pb.h"

namespace lossd {
namespace {

std::string Text(const at::Tensor& bytes) {
  return {static_cast<const char*>(bytes.const_data_ptr()), bytes.nbytes()};
}

class StreamReceiverTest : public testing::Test {
 protected:
  absl::Status Receive(uint32_t tensor, uint64_t offset, const std::string& data) {
    v1::ComputeStreamRequest message;
    message.set_tensor(tensor);
    message.set_offset(offset);
    message.set_data(data);
    const std::string bytes = message.SerializeAsString();
    // Cut in the middle of the data.
    const absl::string_view all = bytes;
    const size_t middle = all.size() - data.size() / 2;
    return receiver_.Receive({all.substr(0, middle), all.substr(middle)});
  }

  const at::Tensor first_ = at::full({5}, '.', at::kByte);
  const at::Tensor second_ = at::full({3}, '.', at::kByte);
  StreamReceiver receiver_{{{"labels", 5}, {"mask", 3}}, {first_, second_}};
};

TEST_F(StreamReceiverTest, PutsBytesWhereTheyBelong) {
  EXPECT_TRUE(Receive(0, 0, "ab").ok());
  EXPECT_TRUE(Receive(0, 2, "cde").ok());
  EXPECT_TRUE(Receive(1, 0, "fgh").ok());
  const absl::StatusOr<std::vector<at::Tensor>> received = receiver_.Finish();
  ASSERT_TRUE(received.ok()) << received.status();
  EXPECT_EQ(Text(received->at(0)), "abcde");
  EXPECT_EQ(Text(received->at(1)), "fgh");
  EXPECT_EQ(received->at(0).const_data_ptr(), first_.const_data_ptr());
}

TEST_F(StreamReceiverTest, CopiesNothingOfWhatItRefuses) {
  EXPECT_EQ(ErrorField(Receive(0, 0, "abcdef")), "data");
  EXPECT_EQ(ErrorField(Receive(0, 1, "b")), "offset");
  EXPECT_EQ(ErrorField(Receive(1, 0, "f")), "tensor");
  EXPECT_FALSE(receiver_
                   .Receive({"\x7A\x05"
                             "abcd"})
                   .ok());
  EXPECT_EQ(Text(first_) + Text(second_), "........");
}

TEST_F(StreamReceiverTest, NeedsEveryByte) {
  EXPECT_TRUE(Receive(0, 0, "abcde").ok());
  EXPECT_EQ(ErrorField(receiver_.Finish().status()), "mask.data");
}

}  // namespace
}  // namespace lossd
