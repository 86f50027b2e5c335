// Streamed requests: a header, then messages that claim to be its chunks, in pieces of memory as
// they may lie in. They give what the same request gives in one message, or an error.

#include <ATen/ATen.h>
#include <fuzzer/FuzzedDataProvider.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/string_view.h"
#include "lossd/v1/service.pb.h"
#include "lossd/wire/stream_layout.h"
#include "lossd/wire/stream_receiver.h"
#include "server/handlers.h"
#include "tests/fuzz/expect.h"

namespace lossd {
namespace {

constexpr RequestLimits kLimits = {.bytes = 1 << 18, .cost = 1e6};

// A message, each piece of it in memory of its own, whose end is known to the sanitizer.
class Pieces {
 public:
  Pieces(const std::string& message, size_t most) {
    for (size_t begin = 0; begin < message.size(); begin += most) {
      const std::string piece = message.substr(begin, most);
      memory_.push_back(std::make_unique<char[]>(piece.size()));
      piece.copy(memory_.back().get(), piece.size());
      pieces_.emplace_back(memory_.back().get(), piece.size());
    }
  }

  const std::vector<absl::string_view>& pieces() const { return pieces_; }

 private:
  std::vector<std::unique_ptr<char[]>> memory_;
  std::vector<absl::string_view> pieces_;
};

// The request in one message.
v1::ComputeRequest Whole(v1::ComputeRequest header, const std::vector<at::Tensor>& data) {
  const std::vector<v1::Tensor*> tensors = StreamTensors(header);
  for (size_t i = 0; i < data.size(); ++i) {
    const auto* const bytes = reinterpret_cast<const char*>(data[i].const_data_ptr<uint8_t>());
    tensors[i]->set_data(std::string(bytes, static_cast<size_t>(data[i].numel())));
  }
  return header;
}

void Stream(FuzzedDataProvider& sent) {
  static Handlers handlers(1, 16);
  const size_t piece_bytes = sent.ConsumeIntegralInRange<size_t>(1, 64);
  v1::ComputeStreamRequest first;
  if (!first.ParseFromString(sent.ConsumeRandomLengthString())) return;
  const absl::StatusOr<StreamedRequest> request = handlers.Prepare(first.header(), kLimits);
  ExpectAnswerOrRefusal(request.status());
  if (!request.ok()) return;
  std::vector<at::Tensor> memory;
  for (const StreamedTensor& tensor : request->tensors) {
    memory.push_back(at::empty(tensor.bytes, at::kByte));
  }
  StreamReceiver receiver(request->tensors, std::move(memory));
  while (sent.remaining_bytes() > 0) {
    const Pieces message(sent.ConsumeRandomLengthString(), piece_bytes);
    const absl::Status received = receiver.Receive(message.pieces());
    ExpectAnswerOrRefusal(received);
    if (!received.ok()) return;
  }
  const absl::StatusOr<std::vector<at::Tensor>> data = receiver.Finish();
  ExpectAnswerOrRefusal(data.status());
  if (!data.ok()) return;

  StreamedAnswer answer;
  const absl::Status computed = handlers.Compute(*request, *data, Cancellation(), &answer);
  ExpectAnswerOrRefusal(computed);
  v1::ComputeRequest whole = Whole(request->header, *data);
  const absl::StatusOr<Announcement> announcement = handlers.Announce(whole, kLimits);
  if (!announcement.ok() || whole.malis_crop().origins().empty()) return;
  v1::ComputeResponse expected;
  const absl::Status in_one = handlers.Compute(whole, *announcement, Cancellation(), &expected);
  Expect(in_one.code() == computed.code(), "a stream ends as one message does");
  Expect(answer.header.total() == expected.total() || !computed.ok() || whole.allow_non_finite(),
         "a stream gives what one message does");
}

}  // namespace
}  // namespace lossd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  FuzzedDataProvider sent(data, size);
  lossd::Stream(sent);
  return 0;
}
