#ifndef SERVER_CONFIG_H_
#define SERVER_CONFIG_H_

#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>

namespace lossd {

// What Config::shared_memory is where clients may share none, and where the socket is given a name.
inline constexpr char kNoSharedMemory[] = "off";
inline constexpr char kSharedMemoryOfAnyName[] = "auto";

// What Config::http_listen is where nothing is served over HTTP.
inline constexpr char kNoHttp[] = "off";

// What an operator may set: each field is a flag and a field of the config file of the same name.
struct Config {
  std::string listen = "127.0.0.1:50051";
  bool allow_plaintext = false;
  std::string tls_cert;
  std::string tls_key;
  std::string tls_client_ca;
  std::string token_file;
  std::string port_file;
  int threads = 0;
  std::string devices = "auto";
  int max_concurrent_requests = 2;
  int max_queued_requests = 1024;
  int64_t memory_budget = int64_t{8} << 30;
  double max_cost = 1e11;
  int64_t max_request_bytes = int64_t{8} << 30;
  double receive_timeout = 30;
  double max_connection_age = 600;
  std::string shared_memory = "auto";
  int64_t shared_memory_max_bytes = int64_t{32} << 30;
  int plan_cache_size = 256;
  double drain_timeout = 60;
  std::string http_listen = "off";
  bool reflection = true;
  bool channelz = false;
  double slow_call = 30;
  std::string log_level = "info";
  std::string log_format = "text";
};

// Declares the fields of `config` as flags of `app`, and a flag --config that names a YAML file
// with the same fields. Flags win over the file; a field that does not exist or is given twice, a
// wrong type, a value out of range or fields that do not go together are a CLI::ParseError that
// names them. Files that fields name are not looked at. Both arguments must outlive the parse.
void DeclareConfig(CLI::App& app, Config& config);

}  // namespace lossd

#endif  // SERVER_CONFIG_H_
