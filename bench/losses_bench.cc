// Measures every loss against LibTorch's eager autograd doing the same, in one run.
//
//   losses_bench [--size 128] [--repetitions 7] [--threads 2] [--only Dice] [--no-memory]
//   losses_bench --time-of LOSS | --memory-of REQUEST
//
// Value and gradient together, of predictions [2, 3, size, size, size] in float32; medians of
// interleaved repetitions. Then the peak memory of whole requests. Each row is measured in a
// process of its own: memory that one frees would serve the next. Prints Markdown tables:
// docs/losses.md.

#include <ATen/Parallel.h>
#include <malloc.h>
#include <spawn.h>
#include <sys/wait.h>
#include <torch/autograd.h>
#include <torch/types.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "bench/eager_losses.h"
#include "bench/malis_data.h"
#include "bench/measure.h"
#include "lossd/base/instruction_sets.h"
#include "lossd/base/resident_memory.h"
#include "lossd/base/task_pool.h"
#include "lossd/compute/orchestrator.h"
#include "lossd/losses/affinity_error.h"
#include "lossd/losses/autograd_loss.h"
#include "lossd/losses/registry.h"
#include "lossd/plan/plan_reader.h"
#include "lossd/sweep/gradient_writer.h"
#include "lossd/sweep/input_reader.h"
#include "lossd/tensor/large_tensor.h"

namespace lossd {
namespace {

[[noreturn]] void Fail(const std::string& message) {
  std::fprintf(stderr, "%s\n", message.c_str());
  std::exit(1);
}

template <typename T>
T OrFail(absl::StatusOr<T> result, absl::string_view what) {
  if (!result.ok()) Fail(absl::StrCat(what, ": ", result.status().ToString()));
  return *std::move(result);
}

// What a case's inputs are besides a prediction.
enum class Data { kDense, kWeighted, kMasked, kClassIndex, kTwoPredictions, kReal, kMalis };

using Eager = std::function<at::Tensor(const LossInputs& inputs)>;

// A loss that is measured.
struct Case {
  std::string label;
  std::string term;  // YAML.
  Eager eager;
  Data data = Data::kDense;
};

// Losses that are measured otherwise than with their defaults, or against another expression than
// their own: a row each. Those that are not named have a row without and, if they take one, a row
// with a weight.
struct Variant {
  absl::string_view loss;
  const char* suffix;  // Of the label.
  const char* kwargs;
  at::Tensor (*eager)(const LossInputs& inputs);
  std::optional<Data> data = {};
};

constexpr Variant kVariants[] = {
    {"BCEWithLogitsLoss", "", "", &eager::BCEWithLogits},
    {"BinaryRegularization", "", "", &eager::BinaryRegularization},
    {"ContourDistanceConsistency", "", "", &eager::ContourDistanceConsistency},
    {"CrossEntropyLoss", "", "", &eager::CrossEntropy},
    {"DiceCELoss", ", softmax", "softmax: true, to_onehot_y: true", &eager::DiceCE,
     Data::kClassIndex},
    {"DiceFocalLoss", ", sigmoid", "sigmoid: true", &eager::DiceFocal},
    {"DiceLoss", ", sigmoid", "sigmoid: true", &eager::Dice},
    {"DiceLoss", ", softmax", "softmax: true, to_onehot_y: true", &eager::DiceSoftmax,
     Data::kClassIndex},
    {"FocalLoss", "", "", &eager::Focal},
    {"FocalLoss", ", softmax", "use_softmax: true, to_onehot_y: true", &eager::FocalSoftmax,
     Data::kClassIndex},
    {"ForegroundContourConsistency", "", "", &eager::ForegroundContourConsistency},
    {"ForegroundDistanceConsistency", "", "", &eager::ForegroundDistanceConsistency},
    {"GANLoss", "", "", &eager::GAN},
    {"GeneralizedDiceLoss", ", sigmoid", "sigmoid: true", &eager::GeneralizedDice},
    {"L1Loss", "", "", &eager::L1},
    {"MSELoss", "", "", &eager::MSE},
    {"MalisLoss", "", "sigmoid: false", &eager::Malis},
    {"NonOverlapRegularization", "", "", &eager::NonOverlap},
    {"PerChannelBCEWithLogitsLoss", "", "", &eager::PerChannelBCE},
    {"PerChannelBCEWithLogitsLoss", ", weight", "", &eager::PerChannelBCE, Data::kWeighted},
    {"ScnpLoss", "", "", &eager::Scnp},
    {"SmoothL1Loss", "", "", &eager::SmoothL1},
    {"SmoothL1Loss", ", weight", "", &eager::SmoothL1, Data::kWeighted},
    {"SoftClDiceLoss", ", sigmoid", "sigmoid: true", &eager::SoftClDice},
    {"TverskyLoss", ", sigmoid", "sigmoid: true", &eager::Tversky},
    {"WeightedBCEWithLogitsLoss", "", "", &eager::WeightedBCE},
    {"WeightedBCEWithLogitsLoss", ", weight", "", &eager::WeightedBCE, Data::kWeighted},
    {"WeightedMAELoss", "", "", &eager::WeightedMAE},
    {"WeightedMAELoss", ", weight", "", &eager::WeightedMAE, Data::kWeighted},
    {"WeightedMSELoss", "", "", &eager::WeightedMSE},
    {"WeightedMSELoss", ", weight", "", &eager::WeightedMSE, Data::kWeighted},
    {"WeightedMSELoss", ", tanh", "tanh: true", &eager::WeightedMSETanh},
};

Data DataOf(const LossTraits& loss) {
  if (loss.takes_gt_seg) return Data::kMalis;
  if (!loss.usable_in_plan) return Data::kReal;
  if (loss.call_kind == CallKind::kPredPred) return Data::kTwoPredictions;
  if (loss.target_kind == TargetKind::kClassIndex) return Data::kClassIndex;
  return loss.spatial_weight_arg == SpatialWeightArg::kMask ? Data::kMasked : Data::kDense;
}

Case CaseOf(const LossTraits& loss, absl::string_view suffix, absl::string_view kwargs, Eager eager,
            Data data) {
  const char* slices = "";
  if (loss.call_kind == CallKind::kPredOnly) slices = R"(, pred_slice: "0:3")";
  if (loss.call_kind == CallKind::kPredPred) slices = R"(, pred_slice: "0:3", pred2_slice: "3:6")";
  return {.label = absl::StrCat(loss.name, suffix),
          .term = absl::StrCat("function: ", loss.name, ", kwargs: {", kwargs, "}", slices),
          .eager = std::move(eager),
          .data = data};
}

// The loss's own LibTorch expression.
Eager OwnExpression(const LossConfig& loss) {
  return [made = loss.Make(), name = loss.traits().name](const LossInputs& inputs) {
    const auto* expression = dynamic_cast<const AutogradLoss*>(made.get());
    if (expression == nullptr) Fail(absl::StrCat(name, " is no expression: give it a Variant"));
    return OrFail(expression->Expression(inputs), name);
  };
}

// Every loss of the list.
const std::vector<Case>& Cases() {
  static const auto& cases = *new std::vector<Case>([] {
    std::vector<Case> all;
    for (const LossConfig& loss : AllLosses()) {
      const LossTraits& traits = loss.traits();
      const size_t before = all.size();
      for (const Variant& variant : kVariants) {
        if (variant.loss != traits.name) continue;
        all.push_back(CaseOf(traits, variant.suffix, variant.kwargs, variant.eager,
                             variant.data.value_or(DataOf(traits))));
      }
      if (all.size() > before) continue;
      all.push_back(CaseOf(traits, "", "", OwnExpression(loss), DataOf(traits)));
      if (traits.spatial_weight_arg != SpatialWeightArg::kWeight) continue;
      all.push_back(CaseOf(traits, ", weight", "", OwnExpression(loss), Data::kWeighted));
    }
    return all;
  }());
  return cases;
}

Plan PlanOf(const Case& c) {
  return OrFail(ReadPlan(absl::StrCat("losses: [{", c.term, "}]")), c.label);
}

// Samples of half-trained affinities.
LossInputs MalisInputs(int64_t size) {
  std::vector<at::Tensor> preds;
  std::vector<at::Tensor> targets;
  std::vector<at::Tensor> labels;
  for (const uint32_t seed : {1U, 2U}) {
    const GridShape cube = {.z = size, .y = size, .x = size};
    MalisVolume volume = MakeVolume(Erode(SyntheticNeurites(cube, seed)), NearestNeighborhood(),
                                    Prediction::kHalfTrained, seed);
    preds.push_back(at::tensor(volume.affinity).view({1, 3, size, size, size}));
    targets.push_back(at::tensor(volume.positive).view({1, 3, size, size, size}).to(at::kFloat));
    labels.push_back(at::tensor(std::vector<int64_t>(volume.labels.begin(), volume.labels.end()))
                         .view({1, size, size, size}));
  }
  return {.pred = at::cat(preds), .target = at::cat(targets), .gt_seg = at::cat(labels)};
}

LossInputs MakeInputs(Data data, int64_t size) {
  if (data == Data::kMalis) return MalisInputs(size);
  at::manual_seed(1);
  const std::vector<int64_t> shape = {2, 3, size, size, size};
  const std::vector<int64_t> one_channel = {2, 1, size, size, size};
  LossInputs inputs = {.pred = at::randn(shape) * 2};
  switch (data) {
    case Data::kClassIndex:
      inputs.target = at::randint(3, one_channel, at::kLong);
      break;
    case Data::kTwoPredictions:
      inputs.pred2 = at::randn(shape);
      inputs.weight = at::rand(one_channel).gt(0.1).to(at::kFloat);
      break;
    case Data::kReal:
      inputs.target = at::ones({1});
      break;
    case Data::kMasked:
      inputs.weight = at::rand(one_channel).gt(0.1).to(at::kFloat);
      break;
    default:
      inputs.target = at::rand(shape).lt(0.3).to(at::kFloat);
      if (data == Data::kWeighted) inputs.weight = at::rand(shape).mul_(2).sub_(0.2).clamp_min_(0);
  }
  return inputs;
}

struct ValueAndGradient {
  at::Tensor value = {};
  at::Tensor gradient = {};
  at::Tensor gradient2 = {};
};

// Value and gradients of the reference.
ValueAndGradient RunEager(const Case& c, const LossInputs& inputs) {
  LossInputs leaves = inputs;
  leaves.pred = inputs.pred.detach().requires_grad_(true);
  std::vector<at::Tensor> variables = {leaves.pred};
  if (inputs.pred2.defined()) {
    leaves.pred2 = inputs.pred2.detach().requires_grad_(true);
    variables.push_back(leaves.pred2);
  }
  const at::Tensor value = c.eager(leaves);
  std::vector<at::Tensor> gradients = torch::autograd::grad({value}, variables);
  return {.value = value.detach(),
          .gradient = gradients[0],
          .gradient2 = gradients.size() > 1 ? gradients[1] : at::Tensor()};
}

// The bench measures nothing that is not the same.
void CheckSame(const Case& c, const ValueAndGradient& eager, const ValueAndGradient& lossd) {
  const auto check = [&](const char* what, const at::Tensor& expected, const at::Tensor& actual) {
    const auto difference = (expected - actual).abs().max().item<double>();
    const auto largest = expected.abs().max().item<double>();
    if (difference <= 1e-3 * largest) return;
    Fail(absl::StrCat(c.label, ": ", what, " differs by ", difference, " of ", largest));
  };
  check("value", eager.value, lossd.value);
  check("gradient", eager.gradient, lossd.gradient);
  if (eager.gradient2.defined()) check("second gradient", eager.gradient2, lossd.gradient2);
}

struct Settings {
  int64_t size = 128;
  int repetitions = 7;
  int threads = 2;
  std::string only;
  std::string time_of;
  std::string memory_of;
  bool no_memory = false;
};

void PrintTimesOf(absl::string_view label, double eager, double lossd, double half) {
  std::printf("| %s | %.1f | %.1f | %.1f | %.1f |\n", std::string(label).c_str(), eager, lossd,
              half, eager / lossd);
  std::fflush(stdout);
}

void PrintTimeOf(const Case& c, const Settings& settings, TaskPool& pool) {
  const LossInputs inputs = MakeInputs(c.data, settings.size);
  LossInputs half = inputs;
  half.pred = inputs.pred.to(at::kHalf);
  if (inputs.pred2.defined()) half.pred2 = inputs.pred2.to(at::kHalf);
  const std::shared_ptr<const Loss> loss = PlanOf(c).losses[0].loss->Make();
  const auto lossd = [&](LossInputs x) -> ValueAndGradient {
    const auto place = [](const at::Tensor& pred) {
      return GradientInto{.into = EmptyLarge(pred.sizes(), pred.scalar_type())};
    };
    x.gradient = place(x.pred);
    if (x.pred2.defined()) x.gradient2 = place(x.pred2);
    const LossResult result = OrFail(loss->Compute(x, pool), c.label);
    return {.value = result.value, .gradient = x.gradient.into, .gradient2 = x.gradient2.into};
  };
  CheckSame(c, RunEager(c, inputs), lossd(inputs));
  // The published MALIS takes seconds.
  const int repetitions = c.data == Data::kMalis ? 1 : settings.repetitions;
  std::vector<double> eager_ms;
  std::vector<double> lossd_ms;
  std::vector<double> half_ms;
  for (int r = 0; r < repetitions; ++r) {
    eager_ms.push_back(Milliseconds([&] { RunEager(c, inputs); }));
    lossd_ms.push_back(Milliseconds([&] { lossd(inputs); }));
    half_ms.push_back(Milliseconds([&] { lossd(half); }));
  }
  PrintTimesOf(c.label, Median(eager_ms), Median(lossd_ms), Median(half_ms));
}

// MALIS's squared error by itself, its weights being there: what the network's side of the loss
// costs.
constexpr char kMalisError[] = "MalisLoss, squared error alone";

void PrintTimeOfMalisError(const Settings& settings, TaskPool& pool) {
  const LossInputs inputs = MakeInputs(Data::kDense, settings.size);
  const at::Tensor weights = at::rand(inputs.pred.sizes()).mul_(1e-6);
  const auto eager = [&]() -> ValueAndGradient {
    const at::Tensor logits = inputs.pred.detach().requires_grad_(true);
    const at::Tensor value = (weights * (logits.sigmoid() - inputs.target).square()).sum();
    return {.value = value.detach(), .gradient = torch::autograd::grad({value}, {logits})[0]};
  };
  at::Tensor used_up;
  const auto fused = [&](const at::Tensor& pred) -> ValueAndGradient {
    const LossInputs read = {.pred = pred, .target = inputs.target};
    const InputReader reader(read);
    const Blocks blocks(pred.sizes());
    const AffinityEdges edges = ReadAffinityEdges(blocks, reader, /*sigmoid=*/true, pool);
    GradientWriter writer({.into = used_up});
    const double sum =
        WeightedAffinityError(blocks, edges.affinity.data(), reader,
                              used_up.mutable_data_ptr<float>(), {.sigmoid = true}, writer, pool);
    return {.value = at::scalar_tensor(sum, at::kFloat), .gradient = used_up};
  };
  const at::Tensor half = inputs.pred.to(at::kHalf);
  std::vector<double> eager_ms;
  std::vector<double> fused_ms;
  std::vector<double> half_ms;
  for (int r = 0; r < settings.repetitions; ++r) {
    eager_ms.push_back(Milliseconds([&] { eager(); }));
    used_up = weights.clone();
    fused_ms.push_back(Milliseconds([&] { fused(inputs.pred); }));
    used_up = weights.clone();
    half_ms.push_back(Milliseconds([&] { fused(half); }));
  }
  used_up = weights.clone();
  CheckSame({.label = kMalisError, .term = "", .eager = {}}, eager(), fused(inputs.pred));
  PrintTimesOf(kMalisError, Median(eager_ms), Median(fused_ms), Median(half_ms));
}

double Bytes(const at::Tensor& tensor) { return static_cast<double>(tensor.nbytes()); }

// In units of the predictions' bytes.
struct MemoryUse {
  double request;  // At the peak of a request, beyond inputs, gradients and scratch.
  double scratch;  // Kept for the requests to come.
};

MemoryUse MemoryOf(const std::string& label, const Plan& plan, const Batch& batch, TaskPool& pool) {
  const auto orchestrator = OrFail(Orchestrator::Create(plan), label);
  double predictions = 0;
  for (const NamedTensor& prediction : batch.predictions) predictions += Bytes(prediction.tensor);
  // Scratch is not part of a request. The first ones allocate it, the later ones find it: the least
  // peak is one without.
  constexpr int kRuns = 12;
  double peak = std::numeric_limits<double>::infinity();
  for (int run = 0; run < kRuns; ++run) {
    peak = std::min(peak, static_cast<double>(PeakResidentBytes(
                              [&] { OrFail(orchestrator->Compute(batch, pool), label); })));
  }
  return {.request = (peak - predictions) / predictions,
          .scratch = static_cast<double>(pool.workspace().bytes()) / predictions};
}

Batch BatchOf(const LossInputs& inputs) {
  const at::Tensor pred =
      inputs.pred2.defined() ? at::cat({inputs.pred, inputs.pred2}, 1) : inputs.pred;
  Batch batch;
  batch.predictions = {{"output", pred}};
  batch.labels = inputs.target;
  batch.mask = inputs.weight;
  batch.gt_seg = inputs.gt_seg;
  return batch;
}

// Requests of several terms, on the inputs of MALIS.
struct Request {
  const char* label;
  const char* plan;
};

constexpr Request kRequests[] = {
    {"PerChannelBCE + Dice + MALIS", R"(
losses:
  - {function: PerChannelBCEWithLogitsLoss}
  - {function: DiceLoss, kwargs: {sigmoid: true}}
  - {function: MalisLoss}
)"},
    {"the same, clamped, class balance, a smooth L1 term", R"(
clamp_min: -2
clamp_max: 2
losses:
  - {function: PerChannelBCEWithLogitsLoss, pos_weight: auto}
  - {function: DiceLoss, kwargs: {sigmoid: true}}
  - {function: SmoothL1Loss, pos_weight: auto}
  - {function: MalisLoss}
)"},
};

// Makes a batch as large as others can be: masked, with unknown labels, at two scales.
Batch MaskedBatch(Batch batch, bool deep_supervision) {
  const at::Tensor& pred = batch.predictions[0].tensor;
  const std::vector<int64_t> shape = pred.sizes().vec();
  batch.mask = at::rand({shape[0], 1, shape[2], shape[3], shape[4]}).gt(0.1).to(at::kFloat);
  batch.label_mask = at::rand(shape).gt(0.1);
  if (deep_supervision) {
    batch.mode = Mode::kDeepSupervision;
    const at::Tensor coarse = at::avg_pool3d(pred, 2);
    batch.predictions.push_back({"ds_1", coarse});
  }
  return batch;
}

// A row of the memory table.
struct MemoryRow {
  std::string label;
  std::function<Plan()> plan;
  std::function<Batch(int64_t size)> batch;
};

std::vector<MemoryRow> MemoryRows() {
  std::vector<MemoryRow> rows;
  for (const Case& c : Cases()) {
    if (c.data == Data::kReal) continue;
    rows.push_back({c.label, [c] { return PlanOf(c); },
                    [c](int64_t size) { return BatchOf(MakeInputs(c.data, size)); }});
  }
  rows.push_back({"SoftClDiceLoss, sigmoid; one volume",
                  [] {
                    return OrFail(ReadPlan("[{function: SoftClDiceLoss, kwargs: {sigmoid: true}}]"),
                                  "plan");
                  },
                  [](int64_t size) {
                    Batch batch;
                    batch.predictions = {{"output", at::randn({1, 1, size, size, size})}};
                    batch.labels = at::rand({1, 1, size, size, size}).lt(0.3).to(at::kFloat);
                    return batch;
                  }});
  for (const auto& [label, text] : kRequests) {
    const auto plan = [text] { return OrFail(ReadPlan(text), "plan"); };
    const auto logits = [](int64_t size) {
      Batch batch = BatchOf(MalisInputs(size));
      batch.predictions[0].tensor.clamp_(1e-6, 1 - 1e-6).logit_();
      return batch;
    };
    rows.push_back({label, plan, logits});
    rows.push_back({absl::StrCat(label, "; float16"), plan, [logits](int64_t size) {
                      Batch batch = logits(size);
                      batch.predictions[0].tensor = batch.predictions[0].tensor.to(at::kHalf);
                      return batch;
                    }});
    rows.push_back({absl::StrCat(label, "; masks"), plan,
                    [logits](int64_t size) { return MaskedBatch(logits(size), false); }});
    rows.push_back({absl::StrCat(label, "; masks, deep supervision"), plan,
                    [logits](int64_t size) { return MaskedBatch(logits(size), true); }});
  }
  return rows;
}

void PrintMemoryOf(const MemoryRow& row, const Settings& settings, TaskPool& pool) {
  // Large blocks come from the system and go back to it, so that resident is what is in use.
  mallopt(M_MMAP_THRESHOLD, 1 << 16);
  const MemoryUse use = MemoryOf(row.label, row.plan(), row.batch(settings.size), pool);
  std::printf("| %s | %.2f | %.2f |\n", row.label.c_str(), use.request, use.scratch);
}

// Measures a row in a process of its own, which prints it.
void PrintRow(const char* option, const std::string& label, const Settings& settings) {
  if (!absl::StrContains(label, settings.only)) return;
  std::fflush(stdout);
  std::vector<std::string> arguments = {"losses_bench",
                                        option,
                                        label,
                                        "--size",
                                        absl::StrCat(settings.size),
                                        "--threads",
                                        absl::StrCat(settings.threads),
                                        "--repetitions",
                                        absl::StrCat(settings.repetitions)};
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t child = 0;
  int status = 0;
  if (posix_spawn(&child, "/proc/self/exe", nullptr, nullptr, argv.data(), environ) != 0 ||
      waitpid(child, &status, 0) != child || status != 0) {
    Fail(absl::StrCat(label, ": its process failed"));
  }
}

void PrintTables(const Settings& settings) {
  std::printf("Vector code: %s\n\n", Word(CurrentInstructionSet()).c_str());
  std::printf(
      "| loss | eager ms | lossd ms | float16 ms | eager / lossd |\n"
      "| --- | --- | --- | --- | --- |\n");
  for (const Case& c : Cases()) PrintRow("--time-of", c.label, settings);
  PrintRow("--time-of", kMalisError, settings);
  if (settings.no_memory) return;
  std::printf("\n| request | peak memory, predictions | scratch kept |\n| --- | --- | --- |\n");
  for (const MemoryRow& row : MemoryRows()) PrintRow("--memory-of", row.label, settings);
}

// One row of a table.
void PrintOne(const Settings& settings, TaskPool& pool) {
  if (settings.time_of == kMalisError) return PrintTimeOfMalisError(settings, pool);
  for (const Case& c : Cases()) {
    if (c.label == settings.time_of) return PrintTimeOf(c, settings, pool);
  }
  for (const MemoryRow& row : MemoryRows()) {
    if (row.label == settings.memory_of) return PrintMemoryOf(row, settings, pool);
  }
  Fail(
      absl::StrCat("got ", settings.time_of, settings.memory_of, ", expected a row of the tables"));
}

int Main(int argc, char** argv) {
  Settings settings;
  CLI::App app("Losses against LibTorch's eager autograd");
  app.add_option("--size", settings.size, "Voxels along an edge")->check(CLI::PositiveNumber);
  app.add_option("--repetitions", settings.repetitions, "Of each measurement")
      ->check(CLI::PositiveNumber);
  app.add_option("--threads", settings.threads, "Of both sides")->check(CLI::PositiveNumber);
  app.add_option("--only", settings.only, "Only losses whose name contains this");
  app.add_option("--time-of", settings.time_of, "Only the times of the loss so named");
  app.add_option("--memory-of", settings.memory_of, "Only the peak memory of the request so named");
  app.add_flag("--no-memory", settings.no_memory, "Only times");
  CLI11_PARSE(app, argc, argv);
  at::set_num_threads(settings.threads);
  if (settings.time_of.empty() && settings.memory_of.empty()) {
    PrintTables(settings);
  } else {
    TaskPool pool(settings.threads);
    PrintOne(settings, pool);
  }
  return 0;
}

}  // namespace
}  // namespace lossd

int main(int argc, char** argv) { return lossd::Main(argc, argv); }
