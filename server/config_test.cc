#include "server/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <fstream>
#include <string>

#include "lossd/base/available_memory.h"

namespace lossd {
namespace {

using testing::HasSubstr;

Config Parse(const std::string& flags) {
  CLI::App app;
  Config config;
  DeclareConfig(app, config);
  app.parse(flags);
  return config;
}

// Flags together with a config file of that text.
Config Parse(const std::string& flags, const std::string& file) {
  const std::string path = testing::TempDir() + "config_test_" + std::to_string(getpid()) + ".yaml";
  std::ofstream(path) << file;
  return Parse("--config " + path + " " + flags);
}

void ExpectError(const std::string& flags, const std::string& file, const std::string& text) {
  try {
    Parse(flags, file);
    FAIL() << "accepted: " << flags << " with " << file;
  } catch (const CLI::ParseError& error) {
    EXPECT_THAT(error.what(), HasSubstr(text));
  }
}

TEST(ConfigTest, HasDefaults) {
  const Config config = Parse("");
  EXPECT_EQ(config.listen, "127.0.0.1:50051");
  EXPECT_GE(config.threads, 1);
  EXPECT_GE(config.memory_budget, 256 << 20);
  EXPECT_LT(config.memory_budget, AvailableMemory());
}

TEST(ConfigTest, ReadsFlagsAndFileAlike) {
  for (const Config& config :
       {Parse("--listen 127.0.0.2:7 --threads=3 --drain_timeout 2.5"),
        Parse("", "listen: 127.0.0.2:7\nthreads: 3\ndrain_timeout: 2.5\n")}) {
    EXPECT_EQ(config.listen, "127.0.0.2:7");
    EXPECT_EQ(config.threads, 3);
    EXPECT_EQ(config.drain_timeout, 2.5);
  }
}

TEST(ConfigTest, FlagsWin) {
  const Config config = Parse("--threads 5", "threads: 3\nlog_format: json\n");
  EXPECT_EQ(config.threads, 5);
  EXPECT_EQ(config.log_format, "json");
}

TEST(ConfigTest, AnEmptyFileIsFine) { EXPECT_EQ(Parse("", "# nothing\n").log_level, "info"); }

TEST(ConfigTest, RefusesFieldsThatDoNotExist) {
  ExpectError("", "thread: 3\n", "'thread'");
  ExpectError("", "config: other.yaml\n", "'config'");
  EXPECT_THROW(Parse("--thread 3"), CLI::ParseError);
}

TEST(ConfigTest, RefusesAFieldThatIsGivenTwice) {
  ExpectError("", "threads: 3\nlisten: localhost:7\nthreads: 4\n", "'threads'");
}

TEST(ConfigTest, RefusesAddressesThatAreNone) {
  ExpectError("--listen localhost", "", "listen");
  ExpectError("", "listen: 127.0.0.1:70000\n", "65535");
}

TEST(ConfigTest, RefusesPlaintextThatOtherMachinesReachUnlessItIsAllowed) {
  ExpectError("--listen 0.0.0.0:7", "", "allow_plaintext");
  EXPECT_EQ(Parse("--listen 0.0.0.0:7 --allow_plaintext").listen, "0.0.0.0:7");
  EXPECT_EQ(Parse("--listen 0.0.0.0:7", "allow_plaintext: true\n").listen, "0.0.0.0:7");
  EXPECT_EQ(Parse("--listen 0.0.0.0:7 --tls_cert c --tls_key k").tls_key, "k");
}

TEST(ConfigTest, RefusesHalvesOfTls) {
  ExpectError("--tls_cert c", "", "tls_key");
  ExpectError("--tls_key k", "", "tls_cert");
  ExpectError("--tls_client_ca a", "", "tls_client_ca");
}

TEST(ConfigTest, RefusesWrongTypesAndValuesOutOfRange) {
  ExpectError("", "threads: many\n", "threads");
  ExpectError("", "threads: 0\n", "threads");
  ExpectError("", "threads: [1, 2]\n", "threads");
  ExpectError("", "log_level: loud\n", "log_level");
  ExpectError("--max_request_bytes 0", "", "max_request_bytes");
  ExpectError("--receive_timeout 0", "", "receive_timeout");
  ExpectError("--memory_budget 1000", "", "memory_budget");
  ExpectError("--max_cost 0", "", "max_cost");
}

TEST(ConfigTest, RefusesFilesThatAreNoMapping) {
  ExpectError("", "- threads\n", "mapping");
  ExpectError("", "a: [", "config file");
  EXPECT_THROW(Parse("--config /nowhere/lossd.yaml"), CLI::ParseError);
}

}  // namespace
}  // namespace lossd
