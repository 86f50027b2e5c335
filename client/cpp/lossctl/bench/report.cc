#include "lossctl/bench/report.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lossctl/json.h"

namespace lossd {
namespace {

constexpr double kMegabyte = 1e6;

// The stages that a round trip consists of, in their order.
constexpr struct {
  const char* name;
  const char* key;
  absl::Duration CallTimings::* time;
} kStages[] = {{"client send", "client_send", &CallTimings::client_send},
               {"network", "network", &CallTimings::network},
               {"queue", "queue", &CallTimings::queue},
               {"decode", "decode", &CallTimings::decode},
               {"compute", "compute", &CallTimings::compute},
               {"encode", "encode", &CallTimings::encode},
               {"client receive", "client_receive", &CallTimings::client_receive}};

constexpr struct {
  const char* name;
  absl::Duration Latency::* time;
} kLatencies[] = {{"p50", &Latency::p50},
                  {"p90", &Latency::p90},
                  {"p95", &Latency::p95},
                  {"p99", &Latency::p99},
                  {"max", &Latency::max}};

double Milliseconds(absl::Duration time) { return absl::ToDoubleMilliseconds(time); }

void AppendLatencyNames(std::string& text) {
  for (const auto& latency : kLatencies) {
    absl::StrAppendFormat(&text, "  %8s", absl::StrCat(latency.name, " ms"));
  }
  text += "\n";
}

void AppendLatencies(const Latency& of, std::string& text) {
  for (const auto& latency : kLatencies) {
    absl::StrAppendFormat(&text, "  %8.1f", Milliseconds(of.*latency.time));
  }
  text += "\n";
}

std::string LatencyTable(absl::Span<const BenchLevel> levels) {
  std::string text = "concurrency  requests  requests/s     MB/s";
  AppendLatencyNames(text);
  for (const BenchLevel& level : levels) {
    const Summary& summary = level.summary;
    const double bytes = summary.bytes_sent + summary.bytes_received;
    absl::StrAppendFormat(&text, "%11d  %8d  %10.2f  %7.1f", level.concurrency, summary.requests,
                          summary.requests_per_second,
                          summary.requests_per_second * bytes / kMegabyte);
    AppendLatencies(summary.latency, text);
  }
  return text;
}

std::string RefusalTable(absl::Span<const BenchLevel> levels) {
  std::string text = "concurrency  refusals";
  AppendLatencyNames(text);
  for (const BenchLevel& level : levels) {
    absl::StrAppendFormat(&text, "%11d  %8d", level.concurrency, level.summary.refusals);
    AppendLatencies(level.summary.refusal_latency, text);
  }
  return text;
}

std::string StageTable(absl::Span<const BenchLevel> levels) {
  std::string text = "concurrency";
  for (const auto& stage : kStages) absl::StrAppendFormat(&text, "  %11s", stage.name);
  text += "  (mean ms)\n";
  for (const BenchLevel& level : levels) {
    absl::StrAppendFormat(&text, "%11d", level.concurrency);
    for (const auto& stage : kStages) {
      const auto width =
          static_cast<int>(std::max<size_t>(absl::string_view(stage.name).size(), 11));
      absl::StrAppendFormat(&text, "  %*.2f", width,
                            Milliseconds(level.summary.timings.*stage.time));
    }
    text += "\n";
  }
  return text;
}

Json LatencyJson(const Latency& of) {
  std::vector<Json::Member> latencies = {{"mean", of.mean}};
  for (const auto& latency : kLatencies) latencies.emplace_back(latency.name, of.*latency.time);
  return Json::Object(latencies);
}

Json LevelJson(const BenchLevel& level) {
  const Summary& summary = level.summary;
  std::vector<Json::Member> stages;
  for (const auto& stage : kStages) {
    stages.emplace_back(stage.key, summary.timings.*stage.time);
  }
  return Json::Object({{"concurrency", level.concurrency},
                       {"requests", summary.requests},
                       {"seconds", summary.length},
                       {"windows", level.windows},
                       {"stable", level.stable},
                       {"requests_per_second", summary.requests_per_second},
                       {"bytes_sent", summary.bytes_sent},
                       {"bytes_received", summary.bytes_received},
                       {"latency_seconds", LatencyJson(summary.latency)},
                       {"refusals", summary.refusals},
                       {"refusal_seconds", LatencyJson(summary.refusal_latency)},
                       {"stage_seconds", Json::Object(stages)},
                       {"server_receive_seconds", summary.timings.receive}});
}

}  // namespace

std::string ReportTable(const BenchSetup& setup, absl::Span<const BenchLevel> levels) {
  const Summary& first = levels.front().summary;
  std::string text = absl::StrFormat(
      "predictions [%d, 3, %d, %d, %d] %s; a request has %.2f MB sent and %.2f MB received",
      setup.batch, setup.size, setup.size, setup.size, setup.dtype, first.bytes_sent / kMegabyte,
      first.bytes_received / kMegabyte);
  if (setup.rate.has_value()) absl::StrAppendFormat(&text, "; %g are due a second", *setup.rate);
  absl::StrAppend(&text, "\n", LatencyTable(levels), StageTable(levels),
                  setup.refusals ? RefusalTable(levels) : "");
  for (const BenchLevel& level : levels) {
    if (level.stable) continue;
    absl::StrAppend(&text, "not stable after ", level.windows,
                    level.windows == 1 ? " window, " : " windows, ", level.concurrency,
                    " at a time\n");
  }
  return text;
}

std::string ReportJson(const BenchSetup& setup, absl::Span<const BenchLevel> levels) {
  std::vector<Json> list;
  for (const BenchLevel& level : levels) list.push_back(LevelJson(level));
  const Json report = Json::Object({{"batch", setup.batch},
                                    {"size", setup.size},
                                    {"dtype", setup.dtype},
                                    {"transport", setup.transport},
                                    {"rate", setup.rate.has_value() ? Json(*setup.rate) : Json()},
                                    {"levels", Json::List(list)}});
  return absl::StrCat(report.text(), "\n");
}

}  // namespace lossd
