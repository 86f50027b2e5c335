#include "server/config.h"

#include <yaml-cpp/yaml.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <istream>
#include <iterator>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "lossd/base/available_cores.h"
#include "lossd/base/available_memory.h"
#include "server/listen_address.h"

namespace lossd {
namespace {

// Flags that are no fields of the file.
constexpr absl::string_view kFlagsAlone[] = {"config", "check-config", "help", "version"};

// Reads a YAML mapping of flag names to values.
class YamlConfig : public CLI::Config {
 public:
  explicit YamlConfig(const CLI::App& app) : app_(app) {}

  std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
    std::vector<CLI::ConfigItem> fields;
    try {
      const YAML::Node root = YAML::Load(input);
      if (root.IsNull()) return fields;
      if (!root.IsMap()) {
        throw CLI::ConfigError("config file: expected a mapping of fields to values");
      }
      std::set<std::string> names;
      for (const auto& entry : root) {
        const auto name = entry.first.as<std::string>();
        if (!names.insert(name).second) {
          throw CLI::ConfigError("config file: field '" + name + "' is given twice");
        }
        if (std::count(std::begin(kFlagsAlone), std::end(kFlagsAlone), name) > 0 ||
            app_.get_option_no_throw("--" + name) == nullptr) {
          throw CLI::ConfigError("config file: unknown field '" + name +
                                 "'; --help lists the fields");
        }
        if (!entry.second.IsScalar()) {
          throw CLI::ConfigError("config file: field '" + name + "': expected a single value");
        }
        fields.push_back({.parents = {}, .name = name, .inputs = {entry.second.Scalar()}});
      }
    } catch (const YAML::Exception& error) {
      throw CLI::ConfigError(std::string("config file: ") + error.what());
    }
    return fields;
  }

  std::string to_config(const CLI::App* /*app*/, bool /*default_also*/, bool /*description*/,
                        std::string /*prefix*/) const override {
    return "";  // Never asked for: there is no flag that prints a config file.
  }

 private:
  const CLI::App& app_;
};

// What is left when the process itself, its threads, and what malloc loses between blocks have
// their part.
int64_t DefaultMemoryBudget() {
  constexpr int64_t kProcess = int64_t{512} << 20;
  constexpr int64_t kLeast = int64_t{256} << 20;
  const int64_t tenths = IsAddressSpaceBounded() ? 5 : 7;
  return std::max(kLeast, (AvailableMemory() - kProcess) / 10 * tenths);
}

// Refuses fields that do not go together.
void CheckTogether(const Config& config) {
  if (config.tls_cert.empty() != config.tls_key.empty()) {
    const std::string absent = config.tls_cert.empty() ? "tls_cert" : "tls_key";
    throw CLI::ValidationError(absent, "needed, as tls_cert and tls_key belong together");
  }
  if (!config.tls_client_ca.empty() && config.tls_cert.empty()) {
    throw CLI::ValidationError("tls_client_ca",
                               "clients have certificates only over TLS, which "
                               "needs tls_cert and tls_key");
  }
  if (config.tls_cert.empty() && !config.allow_plaintext && !IsLocal(config.listen)) {
    throw CLI::ValidationError(
        "listen",
        "other machines reach " + config.listen +
            ", and anybody on the way could read and change what they send: give tls_cert "
            "and tls_key, or allow_plaintext where the network itself is trusted");
  }
}

}  // namespace

void DeclareConfig(CLI::App& app, Config& config) {
  app.option_defaults()->always_capture_default();
  config.threads = AvailableCores();
  config.memory_budget = DefaultMemoryBudget();
  // What clients share is mapped beside it.
  if (IsAddressSpaceBounded()) config.shared_memory_max_bytes = config.memory_budget / 4;

  app.add_option(
         "--listen", config.listen,
         "Address to listen on, host:port or unix:path. Port 0: any free one, which the log "
         "names")
      ->check([](const std::string& address) {
        return std::string(CheckListenAddress(address).message());
      });
  app.add_flag("--allow_plaintext", config.allow_plaintext,
               "Listen without TLS where other machines can reach it");
  app.add_option("--tls_cert", config.tls_cert,
                 "PEM file of the server's certificate and those that lead to its authority; with "
                 "it the server speaks TLS alone");
  app.add_option("--tls_key", config.tls_key, "PEM file of its private key");
  app.add_option("--tls_client_ca", config.tls_client_ca,
                 "PEM file of the authorities one of which must have signed a client's "
                 "certificate; none are asked for when empty");
  app.add_option("--token_file", config.token_file,
                 "File of the bearer tokens that let clients in, name:token on each line; none is "
                 "needed when empty");
  app.add_option("--port_file", config.port_file,
                 "File that the port is written to once the server serves; none when empty");
  app.add_option("--threads", config.threads,
                 "Threads that compute, at most, whatever there is to do; the default is the cores "
                 "that the process may use")
      ->check(CLI::Range(1, 4096));
  app.add_option("--devices", config.devices,
                 "Where requests are computed: auto for every GPU that can be used, or else the "
                 "processor; cpu; or GPUs as cuda:0,cuda:1");
  app.add_option("--max_concurrent_requests", config.max_concurrent_requests,
                 "Requests computed at the same time, by the same threads")
      ->check(CLI::Range(1, 4096));
  app.add_option("--max_queued_requests", config.max_queued_requests,
                 "Requests that wait for memory, for the rest of their tensors or for their turn; "
                 "more are refused with RESOURCE_EXHAUSTED")
      ->check(CLI::Range(0, 1 << 20));
  app.add_option("--memory_budget", config.memory_budget,
                 "Bytes that calls may take together, with what is kept for the next; the default "
                 "is most of what the machine, the process's cgroup and its address space have")
      ->check(CLI::Range(int64_t{64} << 20, int64_t{1} << 50));
  app.add_option("--max_cost", config.max_cost,
                 "Voxels that computing a request may visit, summed over terms and iterations; "
                 "some 2 ns each")
      ->check(CLI::Range(1.0, 1e18));
  app.add_option("--max_request_bytes", config.max_request_bytes,
                 "Largest request accepted; in a stream also the largest answer")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 50));
  app.add_option("--receive_timeout", config.receive_timeout,
                 "Seconds that a client may send nothing before its whole request is there")
      ->check(CLI::Range(0.001, 86400.0));
  app.add_option("--max_connection_age", config.max_connection_age,
                 "Seconds after which a client has to connect anew, so that new servers get load; "
                 "calls under way go on")
      ->check(CLI::Range(1.0, 1e6));
  app.add_option("--shared_memory", config.shared_memory,
                 "Unix socket where clients of this host share memory: a path, an abstract name "
                 "(@...), auto for an abstract one of any name, off for none");
  app.add_option("--shared_memory_max_bytes", config.shared_memory_max_bytes,
                 "Memory that clients may share, in all")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 50));
  app.add_option("--plan_cache_size", config.plan_cache_size, "Compiled plans kept")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--drain_timeout", config.drain_timeout,
                 "Seconds that calls in flight have to finish after SIGTERM")
      ->check(CLI::Range(0.0, 86400.0));
  app.add_option(
         "--http_listen", config.http_listen,
         "host:port of a status page, /metrics for Prometheus, /healthz and /readyz; off for none. "
         "It asks nobody who they are: for operators only")
      ->check([](const std::string& address) {
        return address == kNoHttp ? ""
                                  : std::string(CheckHostAndPort("http_listen", address).message());
      });
  app.add_option("--reflection", config.reflection,
                 "Tell clients such as grpcurl what the service's methods and messages are");
  app.add_option("--channelz", config.channelz,
                 "Tell clients by grpc.channelz.v1 of connections and streams, addresses included");
  app.add_option("--slow_call", config.slow_call,
                 "Seconds from which a call is logged as a slow one, with where its time went")
      ->check(CLI::Range(0.0, 1e6));
  app.add_option("--log_level", config.log_level, "Least severe lines logged")
      ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
  app.add_option("--log_format", config.log_format, "Form of the log on stderr")
      ->check(CLI::IsMember({"text", "json"}));

  app.config_formatter(std::make_shared<YamlConfig>(app));
  app.set_config("--config", "", "YAML file with the same fields, without the dashes; flags win");
  app.allow_config_extras(CLI::config_extras_mode::error);
  app.final_callback([&config] { CheckTogether(config); });
}

}  // namespace lossd
