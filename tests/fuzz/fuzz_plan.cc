// Plans as text: whatever it is, it is told what is wrong, or what it means. What it means, written
// out as a message, is a plan that means the same.

#include <google/protobuf/util/message_differencer.h>

#include <cstdint>
#include <string>

#include "lossd/v1/service.pb.h"
#include "server/handlers.h"
#include "tests/fuzz/expect.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using lossd::v1::ValidatePlanRequest;
  using lossd::v1::ValidatePlanResponse;
  static lossd::Handlers handlers(1, 4);
  ValidatePlanRequest request;
  request.mutable_plan()->set_text(std::string(reinterpret_cast<const char*>(data), size));
  ValidatePlanResponse meaning;
  lossd::ExpectAnswerOrRefusal(handlers.ValidatePlan(request, &meaning));
  if (!meaning.has_plan()) return 0;
  lossd::Expect(meaning.problems().empty(), "a plan without problems");

  *request.mutable_plan()->mutable_typed() = meaning.plan();
  ValidatePlanResponse again;
  lossd::ExpectAnswerOrRefusal(handlers.ValidatePlan(request, &again));
  lossd::Expect(google::protobuf::util::MessageDifferencer::Equals(again, meaning),
                "the typed form means the same");
  return 0;
}
