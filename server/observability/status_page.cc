#include "server/observability/status_page.h"

#include <algorithm>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace lossd {
namespace {

constexpr absl::string_view kHead = R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8"><meta http-equiv="refresh" content="5">
<meta name="viewport" content="width=device-width, initial-scale=1"><title>lossd</title>
<style>
body { font: 14px/1.4 system-ui, sans-serif; margin: 1.5em auto; max-width: 90em; padding: 0 1em; color: #222; }
h1 span { font-size: 60%; padding: .2em .6em; border-radius: .4em; color: #fff; vertical-align: middle; }
.serving { background: #287d3c; } .draining { background: #b35900; }
h2 { font-size: 115%; margin: 1.4em 0 .4em; border-bottom: 1px solid #ccc; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
td, th { padding: .15em 1.2em .15em 0; text-align: left; vertical-align: top; white-space: nowrap; }
th { font-weight: 600; color: #555; } .id, .error, .side td { white-space: normal; overflow-wrap: anywhere; }
.id { display: inline-block; max-width: 18em; } .error { display: inline-block; width: 34em; color: #a00; }
.side { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24em), 1fr)); gap: 0 2.5em; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(100%, 21em), 1fr)); gap: .8em 2.5em; }
figure { margin: 0; } figcaption { font-size: 85%; color: #555; overflow-wrap: anywhere; }
svg { background: #f6f6f6; max-width: 100%; } rect { fill: #4a7ab5; }
</style></head><body>
)";

std::string Escaped(absl::string_view text) {
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&quot;";
        break;
      default:
        escaped += c;
    }
  }
  return escaped;
}

std::string Bytes(int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  if (value >= 1e9) return absl::StrFormat("%.2f GB", value / 1e9);
  if (value >= 1e6) return absl::StrFormat("%.1f MB", value / 1e6);
  return absl::StrFormat("%.1f kB", value / 1e3);
}

std::string Seconds(absl::Duration duration) {
  const double seconds = absl::ToDoubleSeconds(duration);
  return seconds < 1 ? absl::StrFormat("%.1f ms", 1e3 * seconds)
                     : absl::StrFormat("%.2f s", seconds);
}

std::string Ago(absl::Duration duration) {
  return absl::StrCat(absl::FormatDuration(absl::Trunc(duration, absl::Seconds(1))), " ago");
}

std::string Id(absl::string_view id) {
  return absl::StrCat("<span class=\"id\">", Escaped(id), "</span>");
}

std::string Row(const std::vector<std::string>& cells) {
  std::string row = "<tr>";
  for (const std::string& cell : cells) absl::StrAppend(&row, "<td>", cell, "</td>");
  return row + "</tr>\n";
}

std::string Table(const std::vector<std::string>& heads, const std::vector<std::string>& rows) {
  if (rows.empty()) return "<p>None.</p>\n";
  std::string head;
  for (const std::string& cell : heads) absl::StrAppend(&head, "<th>", cell, "</th>");
  if (!head.empty()) head = absl::StrCat("<tr>", head, "</tr>\n");
  return absl::StrCat("<div class=\"wide\"><table>\n", head, absl::StrJoin(rows, ""),
                      "</table></div>\n");
}

std::string FactsTable(const std::string& title, const Facts& facts) {
  std::vector<std::string> rows;
  for (const auto& [name, value] : facts) {
    rows.push_back(absl::StrCat("<tr><th>", Escaped(name), "</th><td>",
                                value.empty() ? "–" : Escaped(value), "</td></tr>\n"));
  }
  return absl::StrCat("<div><h2>", title, "</h2>\n", Table({}, rows), "</div>\n");
}

std::string DeviceText(const DeviceState& device) {
  std::string text = device.name;
  if (!device.description.empty()) absl::StrAppend(&text, " (", device.description, ")");
  return device.in_service ? text : absl::StrCat(text, ": lost");
}

Facts LoadFacts(const ServerState& state) {
  return {
      {"up for", absl::FormatDuration(absl::Trunc(state.uptime, absl::Seconds(1)))},
      {"devices", absl::StrJoin(state.devices, ", ",
                                [](std::string* out, const DeviceState& device) {
                                  absl::StrAppend(out, DeviceText(device));
                                })},
      {"connections", absl::StrCat(state.connections)},
      {"calls under way",
       absl::StrCat(
           state.open_calls.size(),
           state.stuck_calls > 0 ? absl::StrCat(", ", state.stuck_calls, " of them stuck") : "")},
      {"of these waiting",
       absl::StrCat(state.waiting_calls, " of at most ", state.most_waiting_calls)},
      {"memory set aside",
       absl::StrCat(Bytes(state.budget_in_use), " of ", Bytes(state.budget_bytes))},
      {"shared memory", Bytes(state.shared_memory_bytes)},
      {"plan cache", absl::StrCat(state.cached_plans, " plans, ", state.plan_cache_hits, " hits, ",
                                  state.plan_cache_misses, " misses")},
  };
}

std::string OpenCallsTable(const std::vector<OpenCall>& calls, absl::Time now) {
  std::vector<std::string> rows;
  for (const OpenCall& call : calls) {
    rows.push_back(
        Row({Id(call.id), Id(call.client), std::string(call.method), Seconds(now - call.start)}));
  }
  return Table({"request", "client", "method", "since"}, rows);
}

std::string CallsTable(const std::vector<CallRecord>& calls, bool failed, absl::Time now) {
  std::vector<std::string> rows;
  for (const CallRecord& call : calls) {
    std::vector<std::string> cells = {Ago(now - call.start), Id(call.id), Id(call.client),
                                      std::string(call.method), Seconds(call.total)};
    if (failed) {
      cells.push_back(absl::StatusCodeToString(call.status.code()));
      cells.push_back(
          absl::StrCat("<span class=\"error\">", Escaped(call.status.message()), "</span>"));
    } else {
      for (const absl::Duration stage :
           {call.queue, call.receive, call.decode, call.compute, call.encode, call.send}) {
        cells.push_back(Seconds(stage));
      }
    }
    rows.push_back(Row(cells));
  }
  std::vector<std::string> heads = {"begun", "request", "client", "method", "took"};
  for (const char* head : failed ? std::vector<const char*>{"code", "error"}
                                 : std::vector<const char*>{"queue", "receive", "decode", "compute",
                                                            "encode", "send"}) {
    heads.emplace_back(head);
  }
  return Table(heads, rows);
}

// The buckets of a histogram, as bars.
std::string Picture(const std::string& caption, const prometheus::ClientMetric::Histogram& of) {
  constexpr int kBar = 12;
  constexpr int kHeight = 50;
  std::vector<std::pair<double, uint64_t>> bars;  // Upper bound and count.
  uint64_t before = 0;
  uint64_t greatest = 1;
  for (const auto& bucket : of.bucket) {
    bars.emplace_back(bucket.upper_bound, bucket.cumulative_count - before);
    before = bucket.cumulative_count;
    greatest = std::max(greatest, bars.back().second);
  }
  std::string svg = absl::StrFormat(R"(<svg viewBox="0 0 %d %d" width="%d">)",
                                    kBar * static_cast<int>(bars.size()), kHeight,
                                    kBar * static_cast<int>(bars.size()));
  for (size_t i = 0; i < bars.size(); ++i) {
    const double height =
        kHeight * static_cast<double>(bars[i].second) / static_cast<double>(greatest);
    absl::StrAppendFormat(
        &svg,
        R"(<rect x="%d" y="%.1f" width="%d" height="%.1f"><title>up to %g: %d</title></rect>)",
        kBar * static_cast<int>(i) + 1, kHeight - height, kBar - 2, height, bars[i].first,
        bars[i].second);
  }
  const double mean =
      of.sample_count == 0 ? 0 : of.sample_sum / static_cast<double>(of.sample_count);
  return absl::StrFormat("<figure>%s</svg><figcaption>%s: %d, mean %.4g</figcaption></figure>\n",
                         svg, Escaped(caption), of.sample_count, mean);
}

std::string Pictures(const std::vector<prometheus::MetricFamily>& families) {
  std::string pictures;
  for (const prometheus::MetricFamily& family : families) {
    if (family.type != prometheus::MetricType::Histogram) continue;
    for (const prometheus::ClientMetric& metric : family.metric) {
      std::vector<std::string> labels;
      for (const auto& label : metric.label) labels.push_back(label.value);
      absl::StrAppend(&pictures, Picture(absl::StrCat(family.name, " ", absl::StrJoin(labels, " ")),
                                         metric.histogram));
    }
  }
  return pictures.empty() ? "<p>No calls yet.</p>\n"
                          : absl::StrCat("<div class=\"pictures\">\n", pictures, "</div>\n");
}

}  // namespace

std::string StatusPage(const Status& status) {
  const absl::Time now = absl::Now();
  const absl::string_view health = status.state.draining ? "draining" : "serving";
  return absl::StrCat(
      kHead, "<h1>lossd <span class=\"", health, "\">", health, "</span></h1>\n",
      "<div class=\"side\">\n", FactsTable("Load", LoadFacts(status.state)),
      FactsTable("Build", status.build), FactsTable("Configuration", status.config), "</div>\n",
      "<h2>Calls under way</h2>\n", OpenCallsTable(status.state.open_calls, now),
      "<h2>Recent slow calls</h2>\n", CallsTable(status.slow, /*failed=*/false, now),
      "<h2>Recent failed calls</h2>\n", CallsTable(status.failed, /*failed=*/true, now),
      "<h2>Times and sizes</h2>\n", Pictures(status.metrics), "</body></html>\n");
}

}  // namespace lossd
