#ifndef LOSSD_COMPUTE_ORCHESTRATOR_H_
#define LOSSD_COMPUTE_ORCHESTRATOR_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "lossd/base/context.h"
#include "lossd/compute/batch.h"
#include "lossd/compute/schedule.h"
#include "lossd/plan/field_spelling.h"
#include "lossd/plan/plan.h"

namespace lossd {

// A checked plan, ready to compute. Immutable and thread-safe: a server keeps one for each plan it
// has seen.
class Orchestrator {
 public:
  // Checks everything about a plan that does not depend on a batch. Errors are FieldErrors
  // ("losses[1].pos_weight"); `spelling` is what they call fields of the plan.
  static absl::StatusOr<std::unique_ptr<const Orchestrator>> Create(
      const Plan& plan, const FieldSpelling& spelling = {});

  // The same, with every mistake instead of the first; empty when there is none.
  static std::vector<absl::Status> Check(const Plan& plan, const FieldSpelling& spelling = {});

  ~Orchestrator();

  // What is to be computed of a batch, told from its shapes and types: nothing is read of tensors.
  // Good as long as this orchestrator. Errors: those of Compute that shapes tell.
  absl::StatusOr<Schedule> Prepare(const Batch& batch) const;

  // Losses, and gradients unless batch.losses_only. Deterministic: the same batch gives the same
  // bits for any pool. Errors: FieldErrors about the batch ("labels.shape"); INVALID_ARGUMENT
  // naming the term with diagnostics of its tensors when a loss or its gradient is not finite,
  // unless batch.allow_non_finite; the context's status when it is cancelled.
  absl::StatusOr<Outcome> Compute(const Batch& batch, const Context& context) const;
  // The same of a batch that has been prepared; only what is in its tensors may differ from then.
  absl::StatusOr<Outcome> Compute(const Schedule& schedule, const Batch& batch,
                                  const Context& context) const;

  // What each term does and needs, a sentence or two a term; then how they are balanced, if they
  // are.
  std::vector<std::string> Explain() const;

  // The plan with heads and defaults resolved.
  const Plan& plan() const;

 private:
  struct Impl;
  explicit Orchestrator(std::unique_ptr<const Impl> impl);
  std::unique_ptr<const Impl> impl_;
};

}  // namespace lossd

#endif  // LOSSD_COMPUTE_ORCHESTRATOR_H_
