// Requests in one message: each gets an answer, or an error that says what is wrong with it.

#include <cmath>
#include <cstdint>

#include "lossd/v1/service.pb.h"
#include "server/handlers.h"
#include "tests/fuzz/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static lossd::Handlers handlers(1, 16);
  lossd::v1::ComputeRequest request;
  if (!request.ParseFromArray(data, static_cast<int>(size))) return 0;
  const absl::StatusOr<lossd::Announcement> announcement =
      handlers.Announce(request, {.bytes = 1 << 18, .cost = 1e6});
  lossd::ExpectAnswerOrRefusal(announcement.status());
  if (!announcement.ok()) return 0;
  lossd::v1::ComputeResponse response;
  const absl::Status computed =
      handlers.Compute(request, *announcement, lossd::Cancellation(), &response);
  lossd::ExpectAnswerOrRefusal(computed);
  if (!computed.ok()) return 0;
  lossd::Expect(request.allow_non_finite() || std::isfinite(response.total()),
                "a loss that is a number");
  lossd::Expect(
      response.gradients_size() == (request.losses_only() ? 0 : request.predictions_size()),
      "a gradient for each prediction");
  return 0;
}
