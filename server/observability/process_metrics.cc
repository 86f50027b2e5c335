#include "server/observability/process_metrics.h"

#include <sys/resource.h>
#include <unistd.h>

#include <filesystem>
#include <optional>
#include <string>
#include <system_error>

#include "absl/strings/numbers.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "lossd/base/read_file.h"

namespace lossd {
namespace {

using prometheus::MetricFamily;
using prometheus::MetricType;

// The fields of /proc/self/stat after the program's name, which may hold anything: proc(5).
class Stat {
 public:
  Stat() {
    const std::string text = ReadFile("/proc/self/stat").value_or("");
    const size_t end = text.rfind(") ");
    if (end != std::string::npos) fields_ = absl::StrSplit(text.substr(end + 2), ' ');
  }

  // By proc(5)'s number, from 3 on.
  std::optional<double> Field(size_t number) const {
    double value = 0;
    if (number - 3 >= fields_.size() || !absl::SimpleAtod(fields_[number - 3], &value)) return {};
    return value;
  }

 private:
  std::vector<std::string> fields_;
};

// The second in which the system started.
std::optional<double> BootTime() {
  for (const absl::string_view line : absl::StrSplit(ReadFile("/proc/stat").value_or(""), '\n')) {
    double value = 0;
    const std::vector<absl::string_view> words = absl::StrSplit(line, ' ');
    if (words.size() == 2 && words[0] == "btime" && absl::SimpleAtod(words[1], &value)) {
      return value;
    }
  }
  return {};
}

std::optional<double> OpenFiles() {
  std::error_code error;
  double count = 0;
  for (std::filesystem::directory_iterator it("/proc/self/fd", error), end; !error && it != end;
       it.increment(error)) {
    ++count;
  }
  if (error) return {};
  return count - 1;  // One is the iterator's.
}

std::optional<double> MostOpenFiles() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return {};
  return static_cast<double>(limit.rlim_cur);
}

std::optional<double> Product(std::optional<double> a, double b) {
  if (!a.has_value()) return {};
  return *a * b;
}

std::optional<double> Sum(std::optional<double> a, std::optional<double> b) {
  if (!a.has_value() || !b.has_value()) return {};
  return *a + *b;
}

}  // namespace

std::vector<MetricFamily> ProcessMetrics() {
  std::vector<MetricFamily> families;
  const auto add = [&](const char* name, const char* help, MetricType type,
                       std::optional<double> value) {
    if (!value.has_value()) return;
    prometheus::ClientMetric metric;
    (type == MetricType::Counter ? metric.counter.value : metric.gauge.value) = *value;
    families.push_back({name, help, type, {metric}});
  };
  const Stat stat;
  const auto ticks = static_cast<double>(sysconf(_SC_CLK_TCK));
  const auto page = static_cast<double>(sysconf(_SC_PAGESIZE));
  add("process_cpu_seconds_total", "CPU time spent.", MetricType::Counter,
      Product(Sum(stat.Field(14), stat.Field(15)), 1 / ticks));
  add("process_start_time_seconds", "Start of the process, since the epoch.", MetricType::Gauge,
      Sum(Product(stat.Field(22), 1 / ticks), BootTime()));
  add("process_virtual_memory_bytes", "Virtual memory.", MetricType::Gauge, stat.Field(23));
  add("process_resident_memory_bytes", "Resident memory.", MetricType::Gauge,
      Product(stat.Field(24), page));
  add("process_threads", "Threads.", MetricType::Gauge, stat.Field(20));
  add("process_open_fds", "Open file descriptors.", MetricType::Gauge, OpenFiles());
  add("process_max_fds", "File descriptors that may be open.", MetricType::Gauge, MostOpenFiles());
  return families;
}

}  // namespace lossd
