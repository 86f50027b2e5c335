#include "server/observability/metrics.h"

#include <prometheus/text_serializer.h>

#include <iterator>
#include <map>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "lossd/base/error.h"
#include "server/observability/process_metrics.h"

namespace lossd {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

// Further clients are counted together: who can choose a name must not fill the memory of those who
// scrape.
constexpr size_t kMostClients = 100;

// Upper bounds of what histograms count together.
prometheus::Histogram::BucketBoundaries Seconds() {
  return {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300};
}
prometheus::Histogram::BucketBoundaries Bytes() {
  return {1e4, 1e5, 1e6, 3e6, 1e7, 3e7, 1e8, 3e8, 1e9, 1e10};
}

MetricFamily Gauge(std::string name, std::string help, double value) {
  MetricFamily family{std::move(name), std::move(help), MetricType::Gauge, {ClientMetric()}};
  family.metric.front().gauge.value = value;
  return family;
}

MetricFamily Counter(std::string name, std::string help, double value) {
  MetricFamily family{std::move(name), std::move(help), MetricType::Counter, {ClientMetric()}};
  family.metric.front().counter.value = value;
  return family;
}

// A gauge of each device.
MetricFamily OfDevices(std::string name, std::string help, const std::vector<DeviceState>& devices,
                       double (*value)(const DeviceState& device)) {
  MetricFamily family{std::move(name), std::move(help), MetricType::Gauge, {}};
  for (const DeviceState& device : devices) {
    ClientMetric metric;
    metric.label = {{"device", device.name}};
    metric.gauge.value = value(device);
    family.metric.push_back(std::move(metric));
  }
  return family;
}

std::vector<MetricFamily> FamiliesOf(const ServerState& state) {
  const auto number = [](int64_t value) { return static_cast<double>(value); };
  return {
      OfDevices("lossd_device_in_service", "1 while the device computes, 0 once it is lost.",
                state.devices,
                [](const DeviceState& device) { return device.in_service ? 1.0 : 0.0; }),
      OfDevices("lossd_device_requests", "Requests that the device computes.", state.devices,
                [](const DeviceState& device) { return static_cast<double>(device.requests); }),
      Gauge("lossd_draining", "1 while the server finishes calls and takes no new ones.",
            state.draining ? 1 : 0),
      Gauge("lossd_uptime_seconds", "Since the server started.",
            absl::ToDoubleSeconds(state.uptime)),
      Gauge("lossd_stuck_requests",
            "Calls that are computed still, long after their client was gone.",
            number(state.stuck_calls)),
      Gauge("lossd_threads", "Threads that compute.", number(state.threads)),
      Gauge("lossd_connections", "Connections of gRPC that are open.", number(state.connections)),
      Gauge("lossd_inflight_requests", "Calls under way, waiting ones included.",
            number(static_cast<int64_t>(state.open_calls.size()))),
      Gauge("lossd_queue_requests", "Calls that wait for memory or a worker.",
            number(state.waiting_calls)),
      Gauge("lossd_queue_limit_requests", "Calls that may wait; more are refused.",
            number(state.most_waiting_calls)),
      Gauge("lossd_memory_used_bytes", "Memory set aside for calls under way.",
            number(state.budget_in_use)),
      Gauge("lossd_memory_limit_bytes", "Memory that calls may have, all together.",
            number(state.budget_bytes)),
      Gauge("lossd_shared_memory_bytes", "Memory that clients of this host share.",
            number(state.shared_memory_bytes)),
      Gauge("lossd_plan_cache_plans", "Compiled plans that are kept.", number(state.cached_plans)),
      Counter("lossd_plan_cache_hits_total", "Requests whose plan was compiled already.",
              number(state.plan_cache_hits)),
      Counter("lossd_plan_cache_misses_total", "Requests whose plan had to be compiled.",
              number(state.plan_cache_misses)),
  };
}

bool Rejected(absl::StatusCode code) {
  return code == absl::StatusCode::kResourceExhausted || code == absl::StatusCode::kUnavailable ||
         code == absl::StatusCode::kUnauthenticated;
}

}  // namespace

Metrics::Metrics(const Facts& build, std::function<ServerState()> state)
    : state_(std::move(state)),
      requests_(CounterFamily("lossd_requests_total", "Calls, by how they ended."),
                {"method", "code", "reason"}),
      rejected_(
          CounterFamily("lossd_rejected_total", "Calls that were turned away, by the reason."),
          {"reason"}),
      voxels_(CounterFamily("lossd_voxels_total", "Voxels of predictions that were computed on.")
                  .Add({})),
      pairs_(CounterFamily("lossd_malis_pairs_total",
                           "Pairs of voxels that MALIS counted on edges, by its passes.")),
      negative_pairs_(pairs_.Add({{"pass", "negative"}})),
      positive_pairs_(pairs_.Add({{"pass", "positive"}})),
      busy_(CounterFamily("lossd_busy_seconds_total",
                          "Time spent computing, added up over calls at the same time.")
                .Add({})),
      client_requests_(CounterFamily("lossd_client_requests_total",
                                     "Calls of a client; of those beyond 100, of \"other\"."),
                       {"client"}),
      client_compute_(
          CounterFamily("lossd_client_compute_seconds_total", "Time spent computing for a client."),
          {"client"}),
      request_seconds_(HistogramFamily("lossd_request_seconds",
                                       "From a call's beginning to its end in the server."),
                       {"method"}, Seconds()),
      queue_seconds_(HistogramFamily("lossd_queue_seconds", "Waiting for memory and a worker."),
                     {"method"}, Seconds()),
      stage_seconds_(HistogramFamily("lossd_stage_seconds",
                                     "Stages of calls that computed: receive, decode, compute, "
                                     "encode, send."),
                     {"stage"}, Seconds()),
      function_seconds_(HistogramFamily("lossd_function_seconds", "Time in a loss, by call."),
                        {"function"}, Seconds()),
      request_bytes_(HistogramFamily("lossd_request_bytes", "Tensors of a request, as they came."),
                     {"transport"}, Bytes()),
      response_bytes_(
          HistogramFamily("lossd_response_bytes", "Tensors of an answer, as they went."),
          {"transport"}, Bytes()) {
  prometheus::BuildGauge()
      .Name("lossd_build_info")
      .Help("What runs, as labels; always 1.")
      .Register(registry_)
      .Add(std::map<std::string, std::string>(build.begin(), build.end()))
      .Set(1);
}

prometheus::Family<prometheus::Counter>& Metrics::CounterFamily(const std::string& name,
                                                                const std::string& help) {
  return prometheus::BuildCounter().Name(name).Help(help).Register(registry_);
}

prometheus::Family<prometheus::Histogram>& Metrics::HistogramFamily(const std::string& name,
                                                                    const std::string& help) {
  return prometheus::BuildHistogram().Name(name).Help(help).Register(registry_);
}

void Metrics::Count(const CallRecord& call) {
  const std::string code = absl::StatusCodeToString(call.status.code());
  const std::string reason = ErrorReason(call.status).value_or(call.status.ok() ? "" : code);
  requests_.Of(call.method, code, reason).Increment();
  if (Rejected(call.status.code())) rejected_.Of(reason).Increment();
  request_seconds_.Of(call.method).Observe(absl::ToDoubleSeconds(call.total));
  if (call.status.ok()) CountWork(call);
  CountClient(call);
}

void Metrics::CountWork(const CallRecord& call) {
  const auto observe = [&](absl::string_view stage, absl::Duration time) {
    stage_seconds_.Of(stage).Observe(absl::ToDoubleSeconds(time));
  };
  if (call.compute == absl::ZeroDuration()) return;
  queue_seconds_.Of(call.method).Observe(absl::ToDoubleSeconds(call.queue));
  observe("receive", call.receive);
  observe("decode", call.decode);
  observe("compute", call.compute);
  observe("encode", call.encode);
  observe("send", call.send);
  for (const FunctionTime& function : call.functions) {
    function_seconds_.Of(function.function).Observe(absl::ToDoubleSeconds(function.time));
  }
  request_bytes_.Of(call.transport).Observe(static_cast<double>(call.bytes_received));
  response_bytes_.Of(call.transport).Observe(static_cast<double>(call.bytes_sent));
  voxels_.Increment(static_cast<double>(call.voxels));
  negative_pairs_.Increment(static_cast<double>(call.negative_pairs));
  positive_pairs_.Increment(static_cast<double>(call.positive_pairs));
  busy_.Increment(absl::ToDoubleSeconds(call.decode + call.compute + call.encode));
}

void Metrics::CountClient(const CallRecord& call) {
  absl::string_view client = call.client;
  {
    const absl::MutexLock lock(&mutex_);
    if (clients_.size() < kMostClients) {
      clients_.insert(call.client);
    } else if (!clients_.contains(call.client)) {
      client = "other";
    }
  }
  client_requests_.Of(client).Increment();
  client_compute_.Of(client).Increment(absl::ToDoubleSeconds(call.compute));
}

std::vector<prometheus::MetricFamily> Metrics::Collect() const {
  std::vector<MetricFamily> families = registry_.Collect();
  const ServerState state = state_();
  for (std::vector<MetricFamily> more : {FamiliesOf(state), ProcessMetrics()}) {
    std::move(more.begin(), more.end(), std::back_inserter(families));
  }
  if (state.certificate_expires.has_value()) {
    families.push_back(
        Gauge("lossd_certificate_expiry_timestamp_seconds",
              "When the server's certificate expires, in seconds since 1970.",
              absl::ToDoubleSeconds(*state.certificate_expires - absl::UnixEpoch())));
  }
  return families;
}

std::string Metrics::Text() const { return prometheus::TextSerializer().Serialize(Collect()); }

}  // namespace lossd
