#include <ATen/ATen.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <cmath>
#include <iostream>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lossctl/command.h"
#include "lossctl/plan_file.h"

namespace lossd {
namespace {

constexpr char kDefaultPlan[] =
    "losses: [{function: WeightedBCEWithLogitsLoss}, {function: MalisLoss}]";
constexpr int64_t kObjectSize = 16;  // Edge of the cubes that serve as objects, in voxels.

struct BenchFlags {
  std::string plan;
  int64_t size = 64;
  int64_t batch = 2;
  std::string dtype = "float32";
  int requests = 20;
  int concurrency = 1;
};

// Where the time of the requests went.
struct Measurements {
  std::mutex mutex;
  std::vector<double> seconds;  // Round trip of each request.
  double queue = 0;
  double compute = 0;
  absl::Status status;  // The first error.
};

// Cubes as objects, their three nearest-neighbour affinities as labels, and what a half-trained
// network might predict: the right sign most of the time.
Batch MakeBatch(const BenchFlags& flags) {
  const at::Tensor index = at::arange(flags.size).div(kObjectSize, "floor");
  const at::Tensor object =
      (index.view({-1, 1, 1}) * 1024 + index.view({1, -1, 1})) * 1024 + index.view({1, 1, -1}) + 1;
  const at::Tensor gt_seg = object.unsqueeze(0).expand({flags.batch, -1, -1, -1});
  at::Tensor labels = at::zeros({flags.batch, 3, flags.size, flags.size, flags.size}, at::kByte);
  for (int64_t axis = 0; axis < 3; ++axis) {
    const int64_t dim = axis + 1;
    const at::Tensor same =
        gt_seg.narrow(dim, 1, flags.size - 1) == gt_seg.narrow(dim, 0, flags.size - 1);
    labels.select(1, axis).narrow(dim, 1, flags.size - 1).copy_(same);
  }
  const at::Tensor logits = (labels.to(at::kFloat) * 4 - 2) + at::randn(labels.sizes());
  Batch batch;
  const at::ScalarType dtype = flags.dtype == "float16"    ? at::kHalf
                               : flags.dtype == "bfloat16" ? at::kBFloat16
                                                           : at::kFloat;
  batch.predictions = {{"output", logits.to(dtype)}};
  batch.labels = labels;
  batch.gt_seg = gt_seg.to(at::kInt).contiguous();
  batch.malis_crop_seed = 0;
  return batch;
}

// The value below which a share of the sorted values lies.
double Percentile(const std::vector<double>& sorted, double share) {
  const auto last = static_cast<double>(sorted.size() - 1);
  return sorted[static_cast<size_t>(std::lround(share * last))];
}

// Sends requests until `left` of them are gone.
void Send(const Client& client, const std::string& plan, const Batch& batch, std::atomic<int>& left,
          Measurements& measurements) {
  while (left.fetch_sub(1) > 0) {
    const absl::StatusOr<Result> result = client.Compute(plan, batch);
    const std::lock_guard lock(measurements.mutex);
    measurements.status.Update(result.status());
    if (!result.ok()) return;
    measurements.seconds.push_back(absl::ToDoubleSeconds(result->timings.round_trip));
    measurements.queue += absl::ToDoubleSeconds(result->timings.queue);
    measurements.compute += absl::ToDoubleSeconds(result->timings.compute);
  }
}

void Print(const BenchFlags& flags, const Batch& batch, Measurements& measurements,
           double elapsed) {
  std::vector<double>& seconds = measurements.seconds;
  std::ranges::sort(seconds);
  const auto count = static_cast<double>(seconds.size());
  const at::Tensor& prediction = batch.predictions[0].tensor;
  const auto sent =
      static_cast<double>(prediction.nbytes() + batch.labels.nbytes() + batch.gt_seg.nbytes());
  const auto received = static_cast<double>(prediction.nbytes());
  constexpr double kMegabyte = 1e6;
  std::cout << absl::StreamFormat("%d requests, %d at a time, predictions [%d, 3, %d, %d, %d] %s\n",
                                  seconds.size(), flags.concurrency, flags.batch, flags.size,
                                  flags.size, flags.size, flags.dtype)
            << absl::StreamFormat("  size          %8.2f MB sent, %.2f MB received\n",
                                  sent / kMegabyte, received / kMegabyte)
            << absl::StreamFormat("  latency (ms)  p50 %.1f  p90 %.1f  p99 %.1f  max %.1f\n",
                                  1e3 * Percentile(seconds, 0.5), 1e3 * Percentile(seconds, 0.9),
                                  1e3 * Percentile(seconds, 0.99), 1e3 * seconds.back())
            << absl::StreamFormat("  of which (ms) mean queue %.1f, mean compute %.1f\n",
                                  1e3 * measurements.queue / count,
                                  1e3 * measurements.compute / count)
            << absl::StreamFormat("  throughput    %.2f requests/s, %.1f MB/s both ways\n",
                                  count / elapsed, count * (sent + received) / elapsed / kMegabyte);
}

absl::Status Bench(const Session& session, const BenchFlags& flags) {
  const absl::StatusOr<std::string> plan =
      flags.plan.empty() ? absl::StatusOr<std::string>(kDefaultPlan) : ReadPlanFile(flags.plan);
  if (!plan.ok()) return plan.status();
  const absl::StatusOr<Client> client = session.Connect();
  if (!client.ok()) return client.status();
  const Batch batch = MakeBatch(flags);
  // One before the clock starts: it compiles the plan and warms allocators and connection.
  const absl::StatusOr<Result> first = client->Compute(*plan, batch);
  if (!first.ok()) return first.status();

  Measurements measurements;
  std::atomic<int> left = flags.requests;
  const absl::Time start = absl::Now();
  {
    std::vector<std::jthread> senders;
    for (int i = 0; i < flags.concurrency; ++i) {
      senders.emplace_back([&] { Send(*client, *plan, batch, left, measurements); });
    }
  }
  if (!measurements.status.ok()) return measurements.status;
  Print(flags, batch, measurements, absl::ToDoubleSeconds(absl::Now() - start));
  return absl::OkStatus();
}

}  // namespace

void DeclareBench(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("bench", "How fast the server answers, on made-up affinities");
  const auto flags = std::make_shared<BenchFlags>();
  command->add_option("--plan", flags->plan,
                      "The plan or training config; BCE and MALIS without one");
  command->add_option("--size", flags->size, "Edge of the volume in voxels")
      ->check(CLI::Range(2, 1024))
      ->capture_default_str();
  command->add_option("--batch", flags->batch, "Samples a request")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  command->add_option("--dtype", flags->dtype, "Of the predictions")
      ->check(CLI::IsMember({"float32", "float16", "bfloat16"}))
      ->capture_default_str();
  command->add_option("--requests", flags->requests, "Requests in all")
      ->check(CLI::Range(1, 1 << 30))
      ->capture_default_str();
  command->add_option("--concurrency", flags->concurrency, "Requests at a time")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  DeclareTransport(*command, session);
  command->callback([&session, flags] { session.status = Bench(session, *flags); });
}

}  // namespace lossd
