// Tensors as they come: what cannot be decoded is refused, and nothing else is touched.

#include <ATen/ATen.h>

#include <cstdint>

#include "lossd/v1/tensor.pb.h"
#include "lossd/wire/tensor.h"
#include "tests/fuzz/expect.h"

namespace lossd {
namespace {

// What may be told without the data holds for the data.
void Decode(const v1::Tensor& message, ElementUse use) {
  constexpr int64_t kMostBytes = int64_t{1} << 22;
  const absl::StatusOr<int64_t> more = DecodingBytes(message, use);
  if (more.ok() && *more > kMostBytes) return;  // The budget forbids it before.
  const absl::StatusOr<at::Tensor> stand_in = StandIn(message, use);
  ExpectAnswerOrRefusal(stand_in.status());
  const absl::StatusOr<at::Tensor> tensor = FromWire(message, use);
  ExpectAnswerOrRefusal(tensor.status());
  if (!tensor.ok()) return;
  Expect(stand_in.ok(), "what can be decoded has a stand-in");
  Expect(tensor->sizes() == stand_in->sizes(), "the shape is as was told");
  Expect(tensor->scalar_type() == stand_in->scalar_type(), "the type is as was told");
  Expect(*more >= 0, "the bytes were told");
  // All of it is there.
  (void)tensor->clone();
}

}  // namespace
}  // namespace lossd

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  lossd::v1::Tensor message;
  if (!message.ParseFromArray(data, static_cast<int>(size))) return 0;
  lossd::Decode(message, lossd::ElementUse::kNumbers);
  lossd::Decode(message, lossd::ElementUse::kIds);
  return 0;
}
