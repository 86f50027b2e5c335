#include "lossd/orchestrator/orchestrator.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lossd/base/error.h"
#include "lossd/losses/input_reader.h"
#include "lossd/losses/torch_status.h"
#include "lossd/orchestrator/balancing.h"
#include "lossd/orchestrator/clamped_prediction.h"
#include "lossd/orchestrator/diagnostics.h"
#include "lossd/orchestrator/explain.h"
#include "lossd/orchestrator/gradient_sum.h"
#include "lossd/orchestrator/plan_check.h"
#include "lossd/orchestrator/schedule.h"
#include "lossd/orchestrator/term_inputs.h"

namespace lossd {
namespace {

// Sets a log; a key that is there keeps its place.
void Log(Outcome& outcome, std::string key, double value) {
  for (auto& [name, logged] : outcome.logs) {
    if (name == key) {
      logged = value;
      return;
    }
  }
  outcome.logs.emplace_back(std::move(key), value);
}

// An error of a loss, about the field of the request that the input came from.
absl::Status LossError(const Evaluation& evaluation, const Batch& batch,
                       const absl::Status& status) {
  const std::optional<std::string> field = ErrorField(status);
  if (!field.has_value()) return status;
  const PlanTerm& term = *evaluation.term;
  const std::string message =
      absl::StrCat(status.message().substr(std::min(field->size() + 2, status.message().size())),
                   " (", term.path, ", ", term.traits->name, ")");
  const auto root = absl::string_view(*field).substr(0, field->find_first_of(".["));
  const absl::string_view rest = absl::string_view(*field).substr(root.size());
  const auto prediction = [&](size_t index) {
    return absl::StrCat("predictions[", batch.predictions[index].name, "]", rest);
  };
  if (root == "pred") return FieldError(prediction(evaluation.pred), message);
  if (root == "pred2") return FieldError(prediction(evaluation.pred2), message);
  if (root == "target") return FieldError(absl::StrCat("labels", rest), message);
  if (root == "kwargs") return FieldError(absl::StrCat(term.path, ".", *field), message);
  if (root == "weight") {
    return FieldError(evaluation.mask_channels.has_value() ? absl::StrCat(term.path, ".mask_slice")
                                                           : absl::StrCat("mask", rest),
                      message);
  }
  return FieldError(*field, message);
}

// Whether two terms of the schedule share channels of a prediction.
std::vector<bool> FindOverlaps(const Schedule& schedule, const Batch& batch) {
  std::vector<std::vector<ChannelRange>> seen(batch.predictions.size());
  std::vector<bool> overlaps(batch.predictions.size());
  const auto add = [&](size_t index, const ChannelRange& range) {
    for (const ChannelRange& other : seen[index]) {
      if (range.start < other.stop && other.start < range.stop) overlaps[index] = true;
    }
    seen[index].push_back(range);
  };
  for (const Scale& scale : schedule.scales) {
    for (const Evaluation& evaluation : scale.evaluations) {
      add(evaluation.pred, evaluation.pred_channels);
      if (evaluation.term->spec.call_kind() == v1::CALL_KIND_PRED_PRED) {
        add(evaluation.pred2, evaluation.pred2_channels);
      }
    }
  }
  return overlaps;
}

// One call of Compute: works through a schedule, term by term.
class Computation {
 public:
  Computation(const CheckedPlan& plan, const Batch& batch, const Schedule& schedule, TaskPool& pool)
      : plan_(plan),
        batch_(batch),
        schedule_(schedule),
        pool_(pool),
        strategy_(plan.plan.loss_balancing().strategy()),
        clamped_(batch.predictions.size()) {
    const std::vector<bool> overlaps = FindOverlaps(schedule, batch);
    for (size_t i = 0; i < batch.predictions.size(); ++i) {
      sums_.emplace_back(batch.predictions[i].tensor, overlaps[i]);
    }
  }

  absl::StatusOr<Outcome> Run() {
    outcome_.drew_crop_origin = schedule_.drew_crop_origin;
    if (Uncertain() && !batch_.losses_only) {
      outcome_.log_vars_gradient.assign(plan_.terms.size(), 0);
    }
    for (size_t k = 0; k < schedule_.scales.size(); ++k) {
      if (absl::Status status = RunScale(static_cast<int>(k)); !status.ok()) return status;
    }
    if (absl::Status status = CheckTotal(); !status.ok()) return status;
    Log(outcome_, absl::StrCat(batch_.stage, "_loss_total"), outcome_.total);
    if (!batch_.losses_only) FinishGradients();
    return std::move(outcome_);
  }

 private:
  bool Uncertain() const { return strategy_ == v1::BALANCING_STRATEGY_UNCERTAINTY; }
  bool Balanced() const { return Uncertain() || strategy_ == v1::BALANCING_STRATEGY_GRADNORM; }

  absl::Status RunScale(int k) {
    const Scale& scale = schedule_.scales[static_cast<size_t>(k)];
    const Balance balance = BalanceTerms(strategy_, BalancingParameters(scale));
    const size_t first = outcome_.terms.size();
    for (size_t i = 0; i < scale.evaluations.size(); ++i) {
      absl::Status status =
          RunTerm(scale.evaluations[i], balance.weights[i], scale.weight * balance.factors[i]);
      if (!status.ok()) return status;
    }
    double total = 0;
    if (!scale.evaluations.empty()) {
      total = balance.offset;
      for (size_t i = 0; i < scale.evaluations.size(); ++i) {
        total += balance.factors[i] * outcome_.terms[first + i].weighted;
      }
      if (Balanced()) FinishBalancing(scale, balance, first);
    }
    if (batch_.mode == Mode::kDeepSupervision) {
      Log(outcome_, absl::StrCat(batch_.stage, "_loss_scale_", k), total);
    }
    outcome_.total += scale.weight * total;
    return absl::OkStatus();
  }

  // Terms are finite, but factors can make more of them than float32, and with it gradients, holds.
  absl::Status CheckTotal() const {
    constexpr double kLargest = std::numeric_limits<float>::max();
    if (!MustBeFinite() || std::abs(outcome_.total) <= kLargest) return absl::OkStatus();
    return FieldError(Uncertain() ? "log_vars" : "losses",
                      absl::StrCat("a total of ", outcome_.total), "one that is finite in float32");
  }

  // Under deep supervision validation goes on with what there is.
  bool MustBeFinite() const { return batch_.mode == Mode::kStandard || batch_.stage == "train"; }

  // Of the terms of a scale.
  std::vector<double> BalancingParameters(const Scale& scale) const {
    const std::vector<double>& given = Uncertain() ? batch_.log_vars : batch_.task_weights;
    std::vector<double> parameters;
    for (const Evaluation& evaluation : scale.evaluations) {
      parameters.push_back(given.empty() ? (Uncertain() ? 0 : 1) : given[evaluation.term_index]);
    }
    return parameters;
  }

  // Computes a term and adds its gradient, times `factor` and the coefficient.
  absl::Status RunTerm(const Evaluation& evaluation, double balance_weight, double factor) {
    const auto start = std::chrono::steady_clock::now();
    const PlanTerm& term = *evaluation.term;
    const bool two = term.spec.call_kind() == v1::CALL_KIND_PRED_PRED;
    const LossInputs inputs =
        MakeTermInputs(evaluation, batch_, Clamped(evaluation.pred),
                       two ? Clamped(evaluation.pred2) : at::Tensor(), plan_.plan.clamp_min());
    auto result = term.loss->Compute(inputs, pool_);
    if (!result.ok()) return LossError(evaluation, batch_, result.status());
    if (result->value.numel() != 1) {
      return FieldError(term.path, absl::StrCat("a loss of ", result->value.numel(), " elements"),
                        "a scalar");
    }
    const auto raw = result->value.item<double>();
    if (MustBeFinite() && !std::isfinite(raw)) {
      return NotFiniteError(term, evaluation.scale, raw, ApplyKnown(inputs));
    }

    TermOutcome& outcome = outcome_.terms.emplace_back();
    outcome.name = term.name;
    outcome.function = std::string(term.traits->name);
    outcome.scale = evaluation.scale;
    outcome.raw = raw;
    outcome.coefficient = term.spec.coefficient();
    outcome.weighted = raw * outcome.coefficient;
    outcome.balance_weight = balance_weight;
    outcome.malis_crop_origin = evaluation.crop_origin;
    LogTerm(outcome);
    if (!batch_.losses_only) {
      if (batch_.per_term_gradients) AddTermGradients(evaluation, *result, outcome);
      factor *= outcome.coefficient;
      bool finite = sums_[evaluation.pred].Add(evaluation.pred_channels,
                                               std::move(result->gradient), factor, pool_);
      if (two) {
        finite = sums_[evaluation.pred2].Add(evaluation.pred2_channels,
                                             std::move(result->gradient2), factor, pool_) &&
                 finite;
      }
      // A factor too large for float32 is not the term's fault: CheckTotal names it.
      if (MustBeFinite() && !finite && std::abs(factor) <= std::numeric_limits<float>::max()) {
        return NotFiniteError(term, evaluation.scale, raw, ApplyKnown(inputs));
      }
    }
    outcome.time = absl::FromChrono(std::chrono::steady_clock::now() - start);
    return absl::OkStatus();
  }

  // Shared among the terms of a prediction.
  const at::Tensor& Clamped(size_t prediction) {
    std::optional<ClampedPrediction>& clamped = clamped_[prediction];
    if (!clamped.has_value()) {
      clamped.emplace(batch_.predictions[prediction].tensor, plan_.plan.clamp_min(),
                      plan_.plan.clamp_max());
    }
    return clamped->value();
  }

  std::string TermPrefix(const TermOutcome& term) const {
    const std::string scale =
        batch_.mode == Mode::kDeepSupervision ? absl::StrCat("scale_", term.scale, "_") : "";
    return absl::StrCat(batch_.stage, "_loss_", scale, term.name);
  }

  void LogTerm(const TermOutcome& term) {
    const std::string prefix = TermPrefix(term);
    Log(outcome_, absl::StrCat(prefix, "_raw"), term.raw);
    Log(outcome_, absl::StrCat(prefix, "_coef"), term.coefficient);
    Log(outcome_, absl::StrCat(prefix, "_weighted"), term.weighted);
  }

  // The gradient of the term's weighted loss, by itself.
  void AddTermGradients(const Evaluation& evaluation, const ValueAndGradient& result,
                        TermOutcome& outcome) {
    // A term's two predictions may be channels of one tensor, even the same ones.
    std::map<size_t, GradientSum> sums;
    const auto add = [&](size_t index, const ChannelRange& channels, const at::Tensor& gradient) {
      const auto [sum, is_new] = sums.try_emplace(index, batch_.predictions[index].tensor, true);
      sum->second.Add(channels, gradient, outcome.coefficient, pool_);
    };
    add(evaluation.pred, evaluation.pred_channels, result.gradient);
    if (result.gradient2.defined()) {
      add(evaluation.pred2, evaluation.pred2_channels, result.gradient2);
    }
    for (auto& [index, sum] : sums) {
      outcome.gradients.push_back({batch_.predictions[index].name, sum.Finish(&*clamped_[index])});
    }
  }

  // Logs of balancing, and the gradient of the log-variances.
  void FinishBalancing(const Scale& scale, const Balance& balance, size_t first) {
    std::vector<std::string> names;
    for (size_t i = 0; i < scale.evaluations.size(); ++i) {
      const TermOutcome& term = outcome_.terms[first + i];
      names.push_back(term.name);
      const std::string prefix = TermPrefix(term);
      Log(outcome_, absl::StrCat(prefix, "_balance_weight"), term.balance_weight);
      Log(outcome_, absl::StrCat(prefix, "_balanced"), term.weighted * term.balance_weight);
      if (!outcome_.log_vars_gradient.empty()) {
        outcome_.log_vars_gradient[scale.evaluations[i].term_index] +=
            scale.weight * LogVarGradient(balance.factors[i], term.weighted);
      }
    }
    for (auto& [key, value] : BalancingLogs(strategy_, batch_.stage, names, balance)) {
      Log(outcome_, std::move(key), value);
    }
  }

  void FinishGradients() {
    for (size_t i = 0; i < batch_.predictions.size(); ++i) {
      outcome_.gradients.push_back(
          {batch_.predictions[i].name,
           sums_[i].Finish(clamped_[i].has_value() ? &*clamped_[i] : nullptr)});
      clamped_[i].reset();
    }
  }

  const CheckedPlan& plan_;
  const Batch& batch_;
  const Schedule& schedule_;
  TaskPool& pool_;
  const v1::BalancingStrategy strategy_;
  std::vector<std::optional<ClampedPrediction>> clamped_;  // By prediction, made when needed.
  std::vector<GradientSum> sums_;                          // By prediction.
  Outcome outcome_;
};

}  // namespace

struct Orchestrator::Impl {
  CheckedPlan plan;
};

Orchestrator::Orchestrator(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Orchestrator::~Orchestrator() = default;

absl::StatusOr<std::unique_ptr<const Orchestrator>> Orchestrator::Create(const v1::Plan& plan) {
  auto impl = std::make_unique<Impl>();
  const std::vector<absl::Status> problems = CheckPlan(plan, &impl->plan);
  if (!problems.empty()) return problems.front();
  return std::unique_ptr<const Orchestrator>(new Orchestrator(std::move(impl)));
}

std::vector<absl::Status> Orchestrator::Check(const v1::Plan& plan) {
  CheckedPlan checked;
  return CheckPlan(plan, &checked);
}

absl::StatusOr<Outcome> Orchestrator::Compute(const Batch& batch, TaskPool& pool) const {
  return CatchTorchErrors([&]() -> absl::StatusOr<Outcome> {
    const auto schedule = MakeSchedule(impl_->plan, batch);
    if (!schedule.ok()) return schedule.status();
    return Computation(impl_->plan, batch, *schedule, pool).Run();
  });
}

std::vector<std::string> Orchestrator::Explain() const {
  std::vector<std::string> explanations;
  for (const PlanTerm& term : impl_->plan.terms) explanations.push_back(ExplainTerm(term));
  return explanations;
}

const v1::Plan& Orchestrator::plan() const { return impl_->plan.plan; }

}  // namespace lossd
