#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/time.h"
#include "lossctl/bench/concurrency.h"
#include "lossctl/bench/load.h"
#include "lossctl/bench/made_up_batch.h"
#include "lossctl/bench/report.h"
#include "lossctl/bench/summary.h"
#include "lossctl/bench/windows.h"
#include "lossctl/command.h"
#include "lossctl/plan_file.h"

namespace lossd {
namespace {

constexpr char kDefaultPlan[] =
    "losses: [{function: WeightedBCEWithLogitsLoss}, {function: MalisLoss}]";
// With fewer answers than these a window's p90 says nothing.
constexpr int64_t kLeastRequestsOfWindow = 10;
// At a time, where a rate and no concurrency is given.
constexpr char kConcurrencyOfRate[] = "64";

struct BenchFlags {
  std::string plan;
  int64_t size = 64;
  int64_t batch = 2;
  std::string dtype = "float32";
  std::optional<std::string> concurrency;
  std::optional<double> rate;
  std::optional<double> duration;
  std::optional<int64_t> requests;
  int warmup = 3;
  double window = 2;
  int max_windows = 10;
  std::string json;
};

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
    Load load(call, {.concurrency = concurrency, .rate = flags.rate, .requests = flags.requests});
    const absl::StatusOr<Measurement> measured = Measure(flags, load);
    if (!measured.ok()) return measured.status();
    levels.push_back({.concurrency = concurrency,
                      .summary = Summarize(measured->window),
                      .windows = measured->windows,
                      .stable = measured->stable});
  }
  return levels;
}

absl::Status WriteJson(const std::string& path, const std::string& json) {
  std::ofstream file(path);
  file << json << std::flush;
  return file ? absl::OkStatus() : absl::UnknownError(absl::StrCat("cannot write ", path));
}

absl::Status Bench(const Session& session, const BenchFlags& flags) {
  const absl::StatusOr<std::vector<int>> concurrencies = ReadConcurrency(
      flags.concurrency.value_or(flags.rate.has_value() ? kConcurrencyOfRate : "1"));
  if (!concurrencies.ok()) return concurrencies.status();
  const absl::StatusOr<std::string> plan =
      flags.plan.empty() ? absl::StatusOr<std::string>(kDefaultPlan) : ReadPlanFile(flags.plan);
  if (!plan.ok()) return plan.status();
  const absl::StatusOr<Client> client = session.Connect();
  if (!client.ok()) return client.status();
  const Batch batch = MakeUpBatch(flags.batch, flags.size, flags.dtype);
  const absl::StatusOr<std::vector<BenchLevel>> levels =
      MeasureLevels(flags, *concurrencies, [&] { return client->Compute(*plan, batch); });
  if (!levels.ok()) return levels.status();
  const BenchSetup setup = {.batch = flags.batch,
                            .size = flags.size,
                            .dtype = flags.dtype,
                            .transport = TransportName(session.transport),
                            .rate = flags.rate};
  std::cout << ReportTable(setup, *levels);
  return flags.json.empty() ? absl::OkStatus() : WriteJson(flags.json, ReportJson(setup, *levels));
}

void DeclareBatch(CLI::App& command, BenchFlags& flags) {
  command.add_option("--plan", flags.plan,
                     "The plan or training config; BCE and MALIS without one");
  command.add_option("--size", flags.size, "Edge of the volume in voxels")
      ->check(CLI::Range(2, 1024))
      ->capture_default_str();
  command.add_option("--batch", flags.batch, "Samples a request")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command.add_option("--dtype", flags.dtype, "Of the predictions")
      ->check(CLI::IsMember({"float32", "float16", "bfloat16"}))
      ->capture_default_str();
}

void DeclareLoad(CLI::App& command, BenchFlags& flags) {
  command.add_option(
      "--concurrency", flags.concurrency,
      "Requests at a time: N, or LO:HI[:STEP], measured one after the other (1; with "
      "--rate at most so many, 64)");
  command
      .add_option("--rate", flags.rate,
                  "Requests a second, whether earlier ones are answered or not; latency counts "
                  "from when a request was due")
      ->check(CLI::Range(1e-3, 1e6));
  command.add_option("--warmup", flags.warmup, "Requests before the clock starts")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
}

void DeclareMeasurement(CLI::App& command, BenchFlags& flags) {
  CLI::Option* const requests =
      command.add_option("--requests", flags.requests, "Measure so many requests")
          ->check(CLI::Range(1, 1 << 30));
  command.add_option("--duration", flags.duration, "Measure for so many seconds")
      ->check(CLI::Range(1e-3, 1e6))
      ->excludes(requests);
  command
      .add_option("--window", flags.window,
                  "Without these two: seconds of a window, of at least 10 requests. There are "
                  "windows until throughput and p90 of three in a row are within 10 %")
      ->check(CLI::Range(1e-3, 1e6))
      ->capture_default_str();
  command.add_option("--max_windows", flags.max_windows, "... but at most so many")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  command.add_option("--json", flags.json, "Also write the figures to this file");
}

}  // namespace

void DeclareBench(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("bench", "How fast the server answers, on made-up affinities");
  const auto flags = std::make_shared<BenchFlags>();
  DeclareBatch(*command, *flags);
  DeclareLoad(*command, *flags);
  DeclareMeasurement(*command, *flags);
  DeclareTransport(*command, session);
  command->callback([&session, flags] { session.status = Bench(session, *flags); });
}

}  // namespace lossd
