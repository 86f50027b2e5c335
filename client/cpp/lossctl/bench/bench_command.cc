#include <CLI/CLI.hpp>
#include <memory>
#include <utility>

#include "lossctl/command.h"
#include "lossctl/tensor_commands.h"

namespace lossd {
namespace {

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
  command.add_flag("--refusals", flags.refusals,
                   "Make no request again that a busy server refuses, but count it: for more than "
                   "the server can bear");
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
}

}  // namespace

void DeclareBench(CLI::App& app, Session& session, TensorCommand<BenchFlags> bench) {
  CLI::App* command =
      app.add_subcommand("bench", "How fast the server answers, on made-up affinities");
  const auto flags = std::make_shared<BenchFlags>();
  DeclareBatch(*command, *flags);
  DeclareLoad(*command, *flags);
  DeclareMeasurement(*command, *flags);
  DeclareTransport(*command, session);
  DeclareJson(*command, session);
  DeclareServer(*command, session);
  command->callback(
      [&session, flags, bench = std::move(bench)] { session.status = bench(session, *flags); });
}

}  // namespace lossd
