#include <iostream>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "lossctl/bench/concurrency.h"
#include "lossctl/bench/load.h"
#include "lossctl/bench/made_up_batch.h"
#include "lossctl/bench/report.h"
#include "lossctl/bench/summary.h"
#include "lossctl/bench/windows.h"
#include "lossctl/command.h"
#include "lossctl/plan_file.h"
#include "lossctl/tensor_commands.h"
#include "lossd/client.h"

namespace lossd {
namespace {

constexpr char kDefaultPlan[] =
    "losses: [{function: WeightedBCEWithLogitsLoss}, {function: MalisLoss}]";
// With fewer answers than these a window's p90 says nothing.
constexpr int64_t kLeastRequestsOfWindow = 10;
// At a time, where a rate and no concurrency is given.
constexpr char kConcurrencyOfRate[] = "64";

// What is measured of a load: all that was asked for, else windows until they are alike.
absl::StatusOr<Measurement> Measure(const BenchFlags& flags, Load& load) {
  if (!flags.requests.has_value() && !flags.duration.has_value()) {
    const auto next = [&] {
      return load.NextWindow(absl::Seconds(flags.window), kLeastRequestsOfWindow);
    };
    return MeasureUntilStable(next, flags.max_windows);
  }
  absl::StatusOr<Window> window = flags.requests.has_value()
                                      ? load.NextWindow(absl::ZeroDuration(), *flags.requests)
                                      : load.NextWindow(absl::Seconds(*flags.duration), 1);
  if (!window.ok()) return window.status();
  return Measurement{.window = *std::move(window), .windows = 1, .stable = true};
}

absl::StatusOr<std::vector<BenchLevel>> MeasureLevels(const BenchFlags& flags,
                                                      const std::vector<int>& concurrencies,
                                                      const Load::Call& call) {
  for (int i = 0; i < flags.warmup; ++i) {
    if (const absl::StatusOr<Result> result = call(); !result.ok()) return result.status();
  }
  std::vector<BenchLevel> levels;
  for (const int concurrency : concurrencies) {
    Load load(call, {.concurrency = concurrency,
                     .rate = flags.rate,
                     .refusals = flags.refusals,
                     .requests = flags.requests});
    const absl::StatusOr<Measurement> measured = Measure(flags, load);
    if (!measured.ok()) return measured.status();
    if (measured->window.samples.empty()) {
      return absl::ResourceExhaustedError("the server refused every request");
    }
    levels.push_back({.concurrency = concurrency,
                      .summary = Summarize(measured->window),
                      .windows = measured->windows,
                      .stable = measured->stable});
  }
  return levels;
}

}  // namespace

absl::Status Bench(const Session& session, const BenchFlags& flags) {
  const absl::StatusOr<std::vector<int>> concurrencies = ReadConcurrency(
      flags.concurrency.value_or(flags.rate.has_value() ? kConcurrencyOfRate : "1"));
  if (!concurrencies.ok()) return concurrencies.status();
  const absl::StatusOr<std::string> plan =
      flags.plan.empty() ? absl::StatusOr<std::string>(kDefaultPlan) : ReadPlanFile(flags.plan);
  if (!plan.ok()) return plan.status();
  ClientOptions options = session.options();
  if (flags.refusals) options.retry_timeout = absl::ZeroDuration();
  const absl::StatusOr<Client> client = Client::Connect(session.server, options);
  if (!client.ok()) return client.status();
  const Batch batch = MakeUpBatch(flags.batch, flags.size, flags.dtype);
  const absl::StatusOr<std::vector<BenchLevel>> levels =
      MeasureLevels(flags, *concurrencies, [&] { return client->Compute(*plan, batch); });
  if (!levels.ok()) return levels.status();
  const BenchSetup setup = {.batch = flags.batch,
                            .size = flags.size,
                            .dtype = flags.dtype,
                            .transport = TransportName(session.transport),
                            .rate = flags.rate,
                            .refusals = flags.refusals};
  std::cout << (session.json ? ReportJson(setup, *levels) : ReportTable(setup, *levels));
  return absl::OkStatus();
}

}  // namespace lossd
