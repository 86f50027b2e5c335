#include "server/devices/self_test.h"

#include <ATen/ATen.h>

#include <cmath>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "lossd/base/task_pool.h"
#include "lossd/plan/plan_reader.h"

namespace lossd {
namespace {

constexpr char kPlan[] =
    "[{function: MSELoss}, "
    "{function: MalisLoss, kwargs: {nhood: [[0, 0, 1]], sigmoid: false, reduction: sum}}]";

// Two objects in a row, a–b|c–d, by the affinities of neighbours. The edge between b and c alone
// keeps the pairs of two objects apart, and has weight 1; the other two join one pair of two each.
Batch TwoObjects() {
  Batch batch;
  batch.predictions = {{"output", at::tensor({0.8F, 0.6F, 0.9F, 0.3F}).view({1, 1, 1, 1, 4})}};
  batch.labels = at::tensor({1.0F, 0.0F, 1.0F, 0.0F}).view({1, 1, 1, 1, 4});
  return batch;
}
// The mean of squared errors, and their weighted sum.
constexpr double kLoss = (0.04 + 0.36 + 0.01 + 0.09) / 4 + (0.5 * 0.04 + 0.36 + 0.5 * 0.01);
at::Tensor ExpectedGradient() {
  return at::tensor({-0.1F - 0.2F, 0.3F + 1.2F, -0.05F - 0.1F, 0.15F}).view({1, 1, 1, 1, 4});
}

absl::StatusOr<Outcome> Compute(Device& device) {
  const absl::StatusOr<Plan> plan = ReadPlan(kPlan);
  if (!plan.ok()) return plan.status();
  const auto orchestrator = Orchestrator::Create(*plan);
  if (!orchestrator.ok()) return orchestrator.status();
  const Batch batch = TwoObjects();
  const absl::StatusOr<Schedule> schedule = (*orchestrator)->Prepare(batch);
  if (!schedule.ok()) return schedule.status();
  TaskPool pool(1);
  return device.Compute(**orchestrator, *schedule, batch, pool);
}

}  // namespace

absl::Status SelfTest(Device& device) {
  constexpr double kRounding = 1e-5;
  const absl::StatusOr<Outcome> outcome = Compute(device);
  if (!outcome.ok()) {
    return absl::UnavailableError(
        absl::StrCat("its self-test ends with ", outcome.status().message()));
  }
  if (!(std::abs(outcome->total - kLoss) < kRounding)) {
    return absl::UnavailableError(
        absl::StrCat("its self-test gives a loss of ", outcome->total, " and not ", kLoss));
  }
  if (!at::allclose(outcome->gradients.at(0).tensor, ExpectedGradient(), 0, kRounding)) {
    return absl::UnavailableError("its self-test gives a wrong gradient");
  }
  return absl::OkStatus();
}

}  // namespace lossd
