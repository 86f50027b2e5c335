// Measures what a call of the C++ SDK takes beyond the server's computing.
//
//   cpp_sdk_bench [--server build/release/server/lossd]
//
// Predictions travel to the server and gradients back over loopback, by each transport; in turns
// with plain TCP and with memcpy of the same bytes there and back. Then a tiny call, in turns with
// an empty call of gRPC. Prints Markdown tables and the figures that lossd promises.

#include <ATen/ATen.h>
#include <grpcpp/client_context.h>
#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>

#include <CLI/CLI.hpp>
#include <cstddef>
#include <cstdio>
#include <cstring>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "bench/measure.h"
#include "bench/raw_tcp.h"
#include "lossd/client.h"
#include "lossd/tensor/large_tensor.h"
#include "lossd/v1/service.grpc.pb.h"
#include "tests/integration/server_process.h"

namespace lossd {
namespace {

// The cheapest loss there is. It needs no labels: as many bytes travel back as travel there.
constexpr char kPlan[] = R"([{function: NonOverlapRegularization, pred_slice: "0:3"}])";

// Of a few voxels another one is cheaper, its labels included.
constexpr char kTinyPlan[] = "[{function: L1Loss}]";

constexpr int kRounds = 11;
constexpr int kTinyRounds = 3000;

struct Way {
  Transport transport;
  const char* name;
};

constexpr Way kWays[] = {{Transport::kUnary, "unary"},
                         {Transport::kStream, "stream"},
                         {Transport::kShared, "shared memory"}};

using Body = std::function<absl::StatusOr<double>()>;

// Of a transport and of what it is measured against.
struct Times {
  double transport;  // Milliseconds, without the server's computing.
  double tcp;
  double memcpy;
};

Batch MakeBatch(int64_t samples, int64_t size) {
  Batch batch;
  batch.predictions = {{"output", at::randn({samples, 3, size, size, size})}};
  return batch;
}

absl::StatusOr<double> BeyondComputing(const Client& client, const Batch& batch) {
  absl::StatusOr<Result> result;
  const double elapsed = Milliseconds([&] { result = client.Compute(kPlan, batch); });
  if (!result.ok()) return result.status();
  return elapsed - absl::ToDoubleMilliseconds(result->timings.compute);
}

absl::Span<std::byte> BytesOf(const at::Tensor& tensor) {
  return {static_cast<std::byte*>(tensor.data_ptr()), tensor.nbytes()};
}

absl::StatusOr<double> OverTcp(const RawTcp& tcp, const at::Tensor& from, const at::Tensor& into) {
  absl::Status status;
  const double elapsed = Milliseconds([&] { status = tcp.Exchange(BytesOf(from), BytesOf(into)); });
  if (!status.ok()) return status;
  return elapsed;
}

double ByMemcpy(const at::Tensor& from, const at::Tensor& there, const at::Tensor& back) {
  return Milliseconds([&] {
    std::memcpy(there.data_ptr(), from.data_ptr(), from.nbytes());
    std::memcpy(back.data_ptr(), there.data_ptr(), from.nbytes());
  });
}

// Of each of kWays.
absl::StatusOr<std::vector<Times>> Measure(const std::string& server, const Batch& batch) {
  const at::Tensor& from = batch.predictions[0].tensor;
  const absl::StatusOr<std::unique_ptr<RawTcp>> tcp = RawTcp::Connect(from.nbytes());
  if (!tcp.ok()) return tcp.status();
  const at::Tensor there = EmptyLarge(from.sizes());
  const at::Tensor back = EmptyLarge(from.sizes());
  std::vector<Body> bodies = {[&] { return OverTcp(**tcp, from, back); },
                              [&] { return ByMemcpy(from, there, back); }};
  std::vector<Client> clients;
  for (const Way& way : kWays) {
    absl::StatusOr<Client> client = Client::Connect(server, {.transport = way.transport});
    if (!client.ok()) return client.status();
    clients.push_back(*std::move(client));
  }
  for (const Client& client : clients) {
    bodies.emplace_back([&] { return BeyondComputing(client, batch); });
  }
  const absl::StatusOr<std::vector<double>> medians = MediansInTurns(kRounds, bodies);
  if (!medians.ok()) return medians.status();
  std::vector<Times> times;
  for (size_t i = 2; i < medians->size(); ++i) {
    times.push_back({.transport = (*medians)[i], .tcp = (*medians)[0], .memcpy = (*medians)[1]});
  }
  return times;
}

void PrintRow(const Way& way, double megabytes, const Times& times) {
  absl::PrintF("| %s | %.1f | %.1f | %.1f | %.1f | %.2f | %.2f |\n", way.name, megabytes,
               times.transport, times.tcp, times.memcpy, times.tcp / times.transport,
               times.transport / times.memcpy);
  std::fflush(stdout);
}

void PrintFigureOf(const Way& way, double megabytes, const Times& times) {
  const std::string what = absl::StrFormat("C++ SDK by %s, %.1f MB each way", way.name, megabytes);
  if (way.transport == Transport::kStream) {
    PrintFigure(1, times.tcp / times.transport, {Limit::Kind::kAtLeast, 0.65},
                absl::StrFormat("of raw TCP's throughput: %s", what));
  } else if (way.transport == Transport::kShared) {
    PrintFigure(3, times.transport / times.memcpy, {Limit::Kind::kAtMost, 2.2},
                absl::StrFormat("times copying the bytes there and back: %s", what));
  }
}

absl::Status MeasureTransports(const std::string& server) {
  absl::PrintF(
      "| C++ SDK by | MB each way | ms beyond computing | raw TCP ms | memcpy ms | of TCP's "
      "throughput | times memcpy |\n| --- | --- | --- | --- | --- | --- | --- |\n");
  std::vector<Times> of_large;
  double megabytes = 0;
  for (const int64_t samples : {2, 4}) {
    const Batch batch = MakeBatch(samples, 128);
    megabytes = static_cast<double>(batch.predictions[0].tensor.nbytes()) / 1e6;
    absl::StatusOr<std::vector<Times>> times = Measure(server, batch);
    if (!times.ok()) return times.status();
    for (size_t i = 0; i < times->size(); ++i) PrintRow(kWays[i], megabytes, (*times)[i]);
    of_large = *std::move(times);
  }
  for (size_t i = 0; i < of_large.size(); ++i) PrintFigureOf(kWays[i], megabytes, of_large[i]);
  return absl::OkStatus();
}

absl::Status MeasureTinyCall(const std::string& server) {
  const absl::StatusOr<Client> client = Client::Connect(server);
  if (!client.ok()) return client.status();
  Batch batch = MakeBatch(1, 8);
  batch.labels = at::zeros_like(batch.predictions[0].tensor);
  const auto stub =
      v1::LossService::NewStub(grpc::CreateChannel(server, grpc::InsecureChannelCredentials()));
  const auto tiny = [&]() -> absl::StatusOr<double> {
    absl::Status status;
    const double elapsed =
        Milliseconds([&] { status = client->Compute(kTinyPlan, batch).status(); });
    if (!status.ok()) return status;
    return elapsed;
  };
  const auto empty = [&]() -> absl::StatusOr<double> {
    grpc::Status status;
    const double elapsed = Milliseconds([&] {
      grpc::ClientContext context;
      v1::GetServerInfoResponse response;
      status = stub->GetServerInfo(&context, {}, &response);
    });
    if (!status.ok()) return absl::UnavailableError(status.error_message());
    return elapsed;
  };
  const absl::StatusOr<std::vector<double>> medians =
      MediansInTurns(kTinyRounds, std::vector<Body>{tiny, empty});
  if (!medians.ok()) return medians.status();
  const double tiny_us = 1e3 * (*medians)[0];
  const double empty_us = 1e3 * (*medians)[1];
  absl::PrintF(
      "\n| C++ SDK, p50 of | µs |\n| --- | --- |\n| a call with 8³ | %.0f |\n"
      "| an empty call of gRPC | %.0f |\n",
      tiny_us, empty_us);
  PrintFigure(7, tiny_us / empty_us, {Limit::Kind::kAtMost, 1.5},
              "times an empty call of gRPC: C++ SDK, a call with 8³, p50");
  return absl::OkStatus();
}

int Main(int argc, char** argv) {
  std::string program = LOSSD_SERVER;
  CLI::App app("What a call of the C++ SDK takes beyond the server's computing");
  app.add_option("--server", program, "The program lossd");
  CLI11_PARSE(app, argc, argv);
  const ServerProcess server(program, {"--log_level=error"});
  const std::string address = server.Address();
  absl::Status status = MeasureTransports(address);
  if (status.ok()) status = MeasureTinyCall(address);
  if (status.ok()) return 0;
  absl::FPrintF(stderr, "%s\n", status.ToString());
  return 1;
}

}  // namespace
}  // namespace lossd

int main(int argc, char** argv) { return lossd::Main(argc, argv); }
