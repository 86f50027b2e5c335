#include "server/plan_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"

namespace lossd {
namespace {

using Compiled = std::shared_ptr<const Orchestrator>;

v1::PlanSource Text(const std::string& text) {
  v1::PlanSource source;
  source.set_text(text);
  return source;
}

// Plans that differ.
v1::PlanSource Numbered(int number) {
  return Text(absl::StrCat("[{function: MSELoss, weight: ", number, "}]"));
}

Compiled Get(PlanCache& cache, const v1::PlanSource& source) {
  absl::StatusOr<Compiled> plan = cache.Get(source);
  EXPECT_TRUE(plan.ok()) << plan.status();
  return plan.ok() ? *plan : nullptr;
}

TEST(PlanCacheTest, CompilesAPlanOnce) {
  PlanCache cache(2);
  const Compiled first = Get(cache, Numbered(1));
  EXPECT_EQ(first->plan().losses[0].coefficient, 1);
  EXPECT_EQ(Get(cache, Numbered(1)), first);
}

TEST(PlanCacheTest, TellsApartWhatDiffers) {
  PlanCache cache(4);
  const Compiled text = Get(cache, Numbered(2));
  v1::PlanSource typed;
  typed.mutable_typed()->add_losses()->set_function("MSELoss");
  EXPECT_EQ(Get(cache, Numbered(3))->plan().losses[0].coefficient, 3);
  EXPECT_EQ(Get(cache, typed)->plan().losses[0].coefficient, 1);
  EXPECT_EQ(Get(cache, Numbered(2)), text);
}

TEST(PlanCacheTest, ForgetsTheLeastRecentlyUsed) {
  PlanCache cache(2);
  // Held, so that no plan compiled later can lie at the same address.
  const Compiled one = Get(cache, Numbered(1));
  const Compiled two = Get(cache, Numbered(2));
  EXPECT_EQ(Get(cache, Numbered(1)), one);
  const Compiled three = Get(cache, Numbered(3));
  EXPECT_EQ(Get(cache, Numbered(1)), one);
  EXPECT_EQ(Get(cache, Numbered(3)), three);
  EXPECT_NE(Get(cache, Numbered(2)), two);
}

TEST(PlanCacheTest, NamesTheFieldAsThePlanSpellsIt) {
  PlanCache cache(1);
  const auto field = [&cache](const v1::PlanSource& source) {
    return ErrorField(cache.Get(source).status());
  };
  EXPECT_EQ(field(v1::PlanSource()), "plan");
  EXPECT_EQ(field(Text("[")), "plan");
  EXPECT_EQ(field(Text(std::string(kMaxPlanBytes, ' '))), "plan");
  EXPECT_EQ(field(Text("[{function: SmoothL1Loss, kwargs: {bta: 1}}]")), "losses[0].kwargs.bta");
  EXPECT_EQ(field(Text("[{function: SmoothL1Loss, kwargs: {beta: -1}}]")), "losses[0].kwargs.beta");
}

TEST(PlanCacheTest, ServesManyThreads) {
  PlanCache cache(3);
  std::vector<std::jthread> threads;
  for (int thread = 0; thread < 4; ++thread) {
    threads.emplace_back([&cache, thread] {
      for (int i = 0; i < 100; ++i) {
        const int number = (i * (thread + 1)) % 5 + 1;
        EXPECT_EQ(Get(cache, Numbered(number))->plan().losses[0].coefficient, number);
      }
    });
  }
}

}  // namespace
}  // namespace lossd
