#include "lossd/compute/orchestrator.h"

#include <chrono>
#include <cmath>
#include <limits>
#include <map>
#include <optional>
#include <unordered_map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "absl/time/time.h"
#include "lossd/base/error.h"
#include "lossd/compute/balancing.h"
#include "lossd/compute/derived_labels.h"
#include "lossd/compute/diagnostics.h"
#include "lossd/compute/gradient_sum.h"
#include "lossd/compute/mask_check.h"
#include "lossd/compute/prediction_clamp.h"
#include "lossd/compute/schedule.h"
#include "lossd/compute/term_inputs.h"
#include "lossd/losses/torch_status.h"
#include "lossd/plan/explain.h"
#include "lossd/plan/plan_check.h"
#include "lossd/sweep/gradient_writer.h"
#include "lossd/sweep/input_reader.h"
#include "lossd/tensor/dtype_name.h"

namespace lossd {
namespace {

// An error of a loss, about the field of the request that the input came from.
absl::Status LossError(const Evaluation& evaluation, const Batch& batch,
                       const absl::Status& status) {
  const std::optional<std::string> field = ErrorField(status);
  if (!field.has_value()) return status;
  const PlanTerm& term = *evaluation.term;
  const std::string message =
      absl::StrCat(absl::StripPrefix(absl::StripPrefix(status.message(), *field), ": "), " (",
                   term.path, ", ", term.traits->name, ")");
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

// The inputs as the term saw them, for diagnostics.
LossInputs Applied(const LossInputs& inputs, const Context& context) {
  LossInputs applied = ApplyMasks(inputs, context);
  applied.pred = WidenAndClamp(applied.pred, applied.clamp, context);
  if (applied.pred2.defined()) {
    applied.pred2 = WidenAndClamp(applied.pred2, applied.clamp, context);
  }
  return applied;
}

bool Overlap(const ChannelRange& a, const ChannelRange& b) {
  return a.start < b.stop && b.start < a.stop;
}

// Whether two terms of the schedule share channels of a prediction.
std::vector<bool> FindOverlaps(const Schedule& schedule, const Batch& batch) {
  std::vector<std::vector<ChannelRange>> seen(batch.predictions.size());
  std::vector<bool> overlaps(batch.predictions.size());
  const auto add = [&](size_t index, const ChannelRange& range) {
    for (const ChannelRange& other : seen[index]) {
      if (Overlap(range, other)) overlaps[index] = true;
    }
    seen[index].push_back(range);
  };
  for (const Scale& scale : schedule.scales) {
    for (const Evaluation& evaluation : scale.evaluations) {
      add(evaluation.pred, evaluation.pred_channels);
      if (evaluation.term->spec.call_kind == CallKind::kPredPred) {
        add(evaluation.pred2, evaluation.pred2_channels);
      }
    }
  }
  return overlaps;
}

// One call of Compute: works through a schedule, term by term.
class Computation {
 public:
  Computation(const CheckedPlan& plan, const Batch& batch, const Schedule& schedule,
              const Context& context)
      : plan_(plan),
        batch_(batch),
        schedule_(schedule),
        context_(context),
        strategy_(plan.plan.loss_balancing.strategy),
        clamps_(batch.predictions.size()) {
    const std::vector<bool> overlaps = FindOverlaps(schedule, batch);
    for (size_t i = 0; i < batch.predictions.size(); ++i) {
      sums_.push_back(MakeSum(i, overlaps[i]));
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
    Log(absl::StrCat(batch_.stage, "_loss_total"), outcome_.total);
    if (!batch_.losses_only) {
      if (absl::Status status = FinishGradients(); !status.ok()) return status;
    }
    return std::move(outcome_);
  }

 private:
  GradientSum MakeSum(size_t prediction, bool overlapping) const {
    const at::Tensor& tensor = batch_.predictions[prediction].tensor;
    return {tensor, overlapping, batch_.float32_gradients ? at::kFloat : tensor.scalar_type()};
  }

  bool Uncertain() const { return strategy_ == BalancingStrategy::kUncertainty; }
  bool Balanced() const { return Uncertain() || strategy_ == BalancingStrategy::kGradNorm; }

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
      Log(absl::StrCat(batch_.stage, "_loss_scale_", k), total);
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
  bool MustBeFinite() const {
    return !batch_.allow_non_finite && (batch_.mode == Mode::kStandard || batch_.stage == "train");
  }

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
    LossInputs inputs =
        MakeTermInputs(evaluation, batch_, ClampOf(evaluation), plan_.plan.clamp_min, context_);
    factor *= term.spec.coefficient;
    const bool apart = GradientsApart(evaluation);
    if (!batch_.losses_only) PlaceGradients(evaluation, apart, factor, inputs);
    if (absl::Status status = context_.status(); !status.ok()) return status;
    auto result = term.loss->Compute(inputs, context_);
    // Half of a result cannot even be read.
    if (absl::Status status = context_.status(); !status.ok()) return status;
    if (!result.ok()) return LossError(evaluation, batch_, result.status());
    if (result->value.numel() != 1) {
      return FieldError(term.path, absl::StrCat("a loss of ", result->value.numel(), " elements"),
                        "a scalar");
    }
    const auto raw = result->value.item<double>();
    if (MustBeFinite() && !std::isfinite(raw)) {
      return NotFiniteError(term, evaluation.scale, raw, Applied(inputs, context_), context_);
    }

    TermOutcome& outcome = outcome_.terms.emplace_back();
    outcome.name = term.name;
    outcome.function = std::string(term.traits->name);
    outcome.scale = evaluation.scale;
    outcome.raw = raw;
    outcome.coefficient = term.spec.coefficient;
    outcome.weighted = raw * outcome.coefficient;
    outcome.balance_weight = balance_weight;
    outcome.malis_crop_origin = evaluation.crop_origin;
    outcome.malis_pairs = result->pairs;
    LogTerm(outcome);
    if (!batch_.losses_only) {
      bool finite = result->finite;
      if (apart) finite = AddGradients(evaluation, inputs, factor, sums_) && finite;
      if (batch_.per_term_gradients) AddTermGradients(evaluation, inputs, outcome);
      // A factor too large for float32 is not the term's fault: CheckTotal names it.
      if (MustBeFinite() && !finite && std::abs(factor) <= std::numeric_limits<float>::max()) {
        return NotFiniteError(term, evaluation.scale, raw, Applied(inputs, context_), context_);
      }
    }
    outcome.time = absl::FromChrono(std::chrono::steady_clock::now() - start);
    return absl::OkStatus();
  }

  // Where the term's predictions are cut off; nothing where none lies outside.
  std::optional<ClampRange> ClampOf(const Evaluation& evaluation) {
    std::optional<ClampRange> range = ClampOfPrediction(evaluation.pred).range();
    if (evaluation.term->spec.call_kind == CallKind::kPredPred) {
      const std::optional<ClampRange>& other = ClampOfPrediction(evaluation.pred2).range();
      if (!range.has_value()) range = other;
    }
    return range;
  }

  // Shared among the terms of a prediction.
  const PredictionClamp& ClampOfPrediction(size_t prediction) {
    std::optional<PredictionClamp>& clamp = clamps_[prediction];
    if (!clamp.has_value()) {
      clamp.emplace(batch_.predictions[prediction].tensor,
                    ClampRange{plan_.plan.clamp_min, plan_.plan.clamp_max}, context_);
    }
    return *clamp;
  }

  // Sets a log; a key that is there keeps its place.
  void Log(std::string key, double value) {
    const auto [place, is_new] = log_places_.try_emplace(key, outcome_.logs.size());
    if (is_new) {
      outcome_.logs.emplace_back(std::move(key), value);
    } else {
      outcome_.logs[place->second].second = value;
    }
  }

  std::string TermPrefix(const TermOutcome& term) const {
    const std::string scale =
        batch_.mode == Mode::kDeepSupervision ? absl::StrCat("scale_", term.scale, "_") : "";
    return absl::StrCat(batch_.stage, "_loss_", scale, term.name);
  }

  void LogTerm(const TermOutcome& term) {
    const std::string prefix = TermPrefix(term);
    Log(absl::StrCat(prefix, "_raw"), term.raw);
    Log(absl::StrCat(prefix, "_coef"), term.coefficient);
    Log(absl::StrCat(prefix, "_weighted"), term.weighted);
  }

  // Whether a term's gradients are computed in a place of their own: they are wanted by themselves,
  // or are with respect to the same channels twice.
  bool GradientsApart(const Evaluation& evaluation) const {
    if (batch_.losses_only) return false;
    const bool shared = evaluation.term->spec.call_kind == CallKind::kPredPred &&
                        evaluation.pred == evaluation.pred2 &&
                        Overlap(evaluation.pred_channels, evaluation.pred2_channels);
    return shared || batch_.per_term_gradients;
  }

  // Says where the term writes its gradients: there where they are summed, times `factor`, unless
  // they are computed apart.
  void PlaceGradients(const Evaluation& evaluation, bool apart, double factor, LossInputs& inputs) {
    const auto place = [&](size_t prediction, const ChannelRange& channels,
                           const at::Tensor& pred) -> GradientInto {
      if (!apart) return sums_[prediction].Into(channels, factor);
      return {.into = at::empty(pred.sizes(), pred.options().dtype(at::kFloat))};
    };
    inputs.gradient = place(evaluation.pred, evaluation.pred_channels, inputs.pred);
    if (!inputs.pred2.defined()) return;
    inputs.gradient2 = place(evaluation.pred2, evaluation.pred2_channels, inputs.pred2);
  }

  // Adds gradients that were computed apart, times `factor`, to sums by prediction. Whether they
  // are finite.
  template <typename Sums>
  bool AddGradients(const Evaluation& evaluation, const LossInputs& inputs, double factor,
                    Sums& sums) const {
    bool finite =
        WriteGradient(inputs.gradient.into,
                      sums.at(evaluation.pred).Into(evaluation.pred_channels, factor), context_);
    if (inputs.gradient2.wanted()) {
      finite = WriteGradient(inputs.gradient2.into,
                             sums.at(evaluation.pred2).Into(evaluation.pred2_channels, factor),
                             context_) &&
               finite;
    }
    return finite;
  }

  // The gradient of the term's weighted loss, by itself.
  void AddTermGradients(const Evaluation& evaluation, const LossInputs& inputs,
                        TermOutcome& outcome) {
    // A term's two predictions may be channels of one tensor, even the same ones.
    std::map<size_t, GradientSum> sums;
    sums.try_emplace(evaluation.pred, MakeSum(evaluation.pred, true));
    if (inputs.gradient2.wanted()) {
      sums.try_emplace(evaluation.pred2, MakeSum(evaluation.pred2, true));
    }
    AddGradients(evaluation, inputs, outcome.coefficient, sums);
    for (auto& [index, sum] : sums) {
      outcome.gradients.push_back(
          {batch_.predictions[index].name, sum.Finish(&*clamps_[index], context_).gradient});
    }
  }

  // Logs of balancing, and the gradient of the log-variances.
  void FinishBalancing(const Scale& scale, const Balance& balance, size_t first) {
    std::vector<std::string> names;
    for (size_t i = 0; i < scale.evaluations.size(); ++i) {
      const TermOutcome& term = outcome_.terms[first + i];
      names.push_back(term.name);
      const std::string prefix = TermPrefix(term);
      Log(absl::StrCat(prefix, "_balance_weight"), term.balance_weight);
      Log(absl::StrCat(prefix, "_balanced"), term.weighted * term.balance_weight);
      if (!outcome_.log_vars_gradient.empty()) {
        outcome_.log_vars_gradient[scale.evaluations[i].term_index] +=
            scale.weight * LogVarGradient(balance.factors[i], term.weighted);
      }
    }
    for (auto& [key, value] : BalancingLogs(strategy_, batch_.stage, names, balance)) {
      Log(std::move(key), value);
    }
  }

  absl::Status FinishGradients() {
    for (size_t i = 0; i < batch_.predictions.size(); ++i) {
      const std::string& name = batch_.predictions[i].name;
      GradientSum::Sum sum =
          sums_[i].Finish(clamps_[i].has_value() ? &*clamps_[i] : nullptr, context_);
      if (!sum.fits && MustBeFinite()) {
        return FieldError(
            absl::StrCat("predictions[", name, "]"),
            absl::StrCat("a gradient that ", DTypeName(sum.gradient.scalar_type()), " cannot hold"),
            "a smaller one, or float32 gradients");
      }
      outcome_.gradients.push_back({name, std::move(sum.gradient)});
    }
    return absl::OkStatus();
  }

  const CheckedPlan& plan_;
  const Batch& batch_;
  const Schedule& schedule_;
  const Context& context_;
  const BalancingStrategy strategy_;
  std::vector<std::optional<PredictionClamp>> clamps_;  // By prediction, made when needed.
  std::vector<GradientSum> sums_;                       // By prediction.
  Outcome outcome_;
  std::unordered_map<std::string, size_t> log_places_;  // Index in outcome_.logs, by key.
};

}  // namespace

struct Orchestrator::Impl {
  CheckedPlan plan;
  FieldSpelling spelling;
};

Orchestrator::Orchestrator(std::unique_ptr<const Impl> impl) : impl_(std::move(impl)) {}
Orchestrator::~Orchestrator() = default;

absl::StatusOr<std::unique_ptr<const Orchestrator>> Orchestrator::Create(
    const Plan& plan, const FieldSpelling& spelling) {
  auto impl = std::make_unique<Impl>();
  const std::vector<absl::Status> problems = CheckPlan(plan, &impl->plan);
  if (!problems.empty()) return InSpelling(spelling, problems.front());
  impl->spelling = spelling;
  return std::unique_ptr<const Orchestrator>(new Orchestrator(std::move(impl)));
}

std::vector<absl::Status> Orchestrator::Check(const Plan& plan, const FieldSpelling& spelling) {
  CheckedPlan checked;
  std::vector<absl::Status> problems = CheckPlan(plan, &checked);
  for (absl::Status& problem : problems) problem = InSpelling(spelling, problem);
  return problems;
}

absl::StatusOr<Schedule> Orchestrator::Prepare(const Batch& batch) const {
  absl::StatusOr<Schedule> schedule = CatchTorchErrors([&]() -> absl::StatusOr<Schedule> {
    const absl::StatusOr<Batch> labelled = WithLabelStandIn(batch);
    if (!labelled.ok()) return labelled.status();
    return MakeSchedule(impl_->plan, *labelled);
  });
  if (!schedule.ok()) return InSpelling(impl_->spelling, schedule.status());
  return schedule;
}

absl::StatusOr<Outcome> Orchestrator::Compute(const Batch& batch, const Context& context) const {
  const absl::StatusOr<Schedule> schedule = Prepare(batch);
  if (!schedule.ok()) return schedule.status();
  return Compute(*schedule, batch, context);
}

absl::StatusOr<Outcome> Orchestrator::Compute(const Schedule& schedule, const Batch& batch,
                                              const Context& context) const {
  absl::StatusOr<Outcome> outcome = CatchTorchErrors([&]() -> absl::StatusOr<Outcome> {
    const absl::StatusOr<Batch> labelled = WithDerivedLabels(batch, context);
    if (!labelled.ok()) return labelled.status();
    absl::Status masks = CheckMaskValues(schedule, *labelled, context);
    if (!masks.ok()) return masks;
    return Computation(impl_->plan, *labelled, schedule, context).Run();
  });
  // Whatever a cancelled computation has come to, be it an error, means nothing.
  if (absl::Status status = context.status(); !status.ok()) return status;
  if (!outcome.ok()) return InSpelling(impl_->spelling, outcome.status());
  return outcome;
}

std::vector<std::string> Orchestrator::Explain() const {
  std::vector<std::string> explanations;
  for (const PlanTerm& term : impl_->plan.terms) explanations.push_back(ExplainTerm(term));
  const std::string balancing = ExplainBalancing(impl_->plan.plan.loss_balancing);
  if (!balancing.empty()) explanations.push_back(balancing);
  return explanations;
}

const Plan& Orchestrator::plan() const { return impl_->plan.plan; }

}  // namespace lossd
