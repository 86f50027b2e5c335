// What becomes of a plan when memory runs out while it is read. A program of its own, as it
// replaces the allocator.

#include <gtest/gtest.h>

#include <cstdint>
#include <cstdlib>
#include <new>

#include "lossd/plan/document.h"
#include "lossd/v1/service.pb.h"
#include "server/handlers.h"

namespace {

constexpr int64_t kNever = -1;

// How many allocations succeed before one does not.
thread_local int64_t allocations_left = kNever;

}  // namespace

void* operator new(size_t size) {
  if (allocations_left != kNever) {
    --allocations_left;
    if (allocations_left == kNever) throw std::bad_alloc();
  }
  void* const memory = std::malloc(size);
  if (memory == nullptr) throw std::bad_alloc();
  return memory;
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t /*size*/) noexcept { std::free(memory); }

namespace lossd {
namespace {

constexpr char kPlan[] = "{losses: [{function: SmoothL1Loss, kwargs: {beta: 2}}]}";

// Each allocation of the parser fails once. protobuf, which comes next, survives no such thing.
TEST(OutOfMemoryTest, IsNotThePlansFault) {
  constexpr int64_t kMany = 1'000'000;
  ASSERT_TRUE(ParseDocument(kPlan).ok());  // Makes what the parser keeps.
  allocations_left = kMany;
  ASSERT_TRUE(ParseDocument(kPlan).ok());
  const int64_t allocations = kMany - allocations_left;
  allocations_left = kNever;
  ASSERT_GT(allocations, 20);

  Handlers handlers(1, 1);
  v1::ValidatePlanRequest request;
  request.mutable_plan()->set_text(kPlan);
  for (int64_t i = 0; i < allocations; ++i) {
    v1::ValidatePlanResponse response;
    allocations_left = i;
    const absl::Status status = handlers.ValidatePlan(request, &response);
    allocations_left = kNever;
    ASSERT_EQ(status.code(), absl::StatusCode::kResourceExhausted) << i << ": " << status;
    ASSERT_TRUE(response.problems().empty()) << i;
  }
}

}  // namespace
}  // namespace lossd
