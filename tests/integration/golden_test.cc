// What PyTorch Connectomics itself computes, through a server and the C++ SDK.

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <google/protobuf/struct.pb.h>
#include <google/protobuf/util/json_util.h>
#include <gtest/gtest.h>
#include <spdlog/sinks/null_sink.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "lossd/client.h"
#include "lossd/tensor/npy.h"
#include "server/server.h"

namespace lossd {
namespace {

using google::protobuf::Struct;
using Tensors = std::map<std::string, at::Tensor>;

// A case of tests/golden, unpacked into a folder.
struct GoldenCase {
  Struct description;
  Tensors tensors;  // By name: "output.<head>", "labels", "grad.<head>", …
};

GoldenCase ReadCase(const std::filesystem::path& folder) {
  GoldenCase golden;
  std::ifstream file(folder / "case.json");
  const std::string json{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
  EXPECT_TRUE(google::protobuf::util::JsonStringToMessage(json, &golden.description).ok()) << json;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.path().extension() != ".npy") continue;
    const absl::StatusOr<at::Tensor> tensor = ReadNpy(entry.path());
    EXPECT_TRUE(tensor.ok()) << tensor.status();
    if (tensor.ok()) golden.tensors.emplace(entry.path().stem(), *tensor);
  }
  return golden;
}

// The tensors whose names begin with the prefix, which is left out.
Tensors WithPrefix(const Tensors& tensors, const std::string& prefix) {
  Tensors found;
  for (const auto& [name, tensor] : tensors) {
    if (absl::StartsWith(name, prefix)) found.emplace(name.substr(prefix.size()), tensor);
  }
  return found;
}

at::Tensor FindOrUndefined(const Tensors& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  return found == tensors.end() ? at::Tensor() : found->second;
}

std::vector<double> Numbers(const at::Tensor& tensor) {
  if (!tensor.defined()) return {};
  const at::Tensor doubles = tensor.to(at::kDouble).contiguous();
  return {doubles.const_data_ptr<double>(), doubles.const_data_ptr<double>() + doubles.numel()};
}

Batch BatchOf(const GoldenCase& golden) {
  const auto& fields = golden.description.fields();
  Batch batch;
  if (fields.at("mode").string_value() == "deep_supervision") batch.mode = Mode::kDeepSupervision;
  for (const auto& [head, tensor] : WithPrefix(golden.tensors, "output.")) {
    batch.predictions.push_back({head, tensor});
  }
  batch.labels = FindOrUndefined(golden.tensors, "labels");
  batch.mask = FindOrUndefined(golden.tensors, "mask");
  batch.label_mask = FindOrUndefined(golden.tensors, "label_mask");
  batch.gt_seg = FindOrUndefined(golden.tensors, "gt_seg");
  batch.log_vars = Numbers(FindOrUndefined(golden.tensors, "log_vars"));
  if (const auto origin = fields.find("malis_crop_origin"); origin != fields.end()) {
    const auto& zyx = origin->second.list_value();
    const auto at = [&zyx](int i) { return static_cast<int64_t>(zyx.values(i).number_value()); };
    batch.malis_crop_origins = {{at(0), at(1), at(2)}};
  }
  return batch;
}

std::string PlanOf(const GoldenCase& golden) {
  std::string json;
  const auto& plan = golden.description.fields().at("plan");
  EXPECT_TRUE(google::protobuf::util::MessageToJsonString(plan, &json).ok());
  return json;
}

void ExpectSameNumber(double actual, double expected, const std::string& what) {
  EXPECT_NEAR(actual, expected, 1e-6 + 1e-5 * std::abs(expected)) << what;
}

void ExpectSameGradient(const at::Tensor& actual, const at::Tensor& expected,
                        const std::string& head) {
  ASSERT_EQ(actual.sizes(), expected.sizes()) << head;
  ASSERT_EQ(actual.scalar_type(), expected.scalar_type()) << head;
  const double atol = 1e-6 * expected.abs().max().item<double>();
  EXPECT_TRUE(at::allclose(actual, expected, /*rtol=*/1e-4, atol))
      << head << ": off by up to " << (actual - expected).abs().max().item<double>();
}

class GoldenTest : public testing::TestWithParam<std::string> {
 protected:
  static void SetUpTestSuite() {
    static Log log(Log::Format::kText, spdlog::level::off,
                   std::make_shared<spdlog::sinks::null_sink_mt>());
    Config config;
    config.listen = "127.0.0.1:0";
    config.threads = 2;
    absl::StatusOr<std::unique_ptr<Server>> server = Server::Start(config, log);
    ASSERT_TRUE(server.ok()) << server.status();
    server_ = *std::move(server);
  }
  static void TearDownTestSuite() { server_.reset(); }

  static absl::StatusOr<Result> Compute(const GoldenCase& golden) {
    const absl::StatusOr<Client> client =
        Client::Connect(absl::StrCat("127.0.0.1:", server_->port()));
    if (!client.ok()) return client.status();
    return client->Compute(PlanOf(golden), BatchOf(golden));
  }

 private:
  static inline std::unique_ptr<Server> server_;
};

TEST_P(GoldenTest, HasTheReferencesValuesLogsAndGradients) {
  const GoldenCase golden = ReadCase(std::filesystem::path(LOSSD_GOLDEN_CASES) / GetParam());
  const absl::StatusOr<Result> result = Compute(golden);
  ASSERT_TRUE(result.ok()) << result.status();

  const auto& expected = golden.description.fields().at("expected").struct_value().fields();
  ExpectSameNumber(result->total, expected.at("total").number_value(), "total");
  const auto& logs = expected.at("logs").struct_value().fields();
  EXPECT_EQ(result->logs.size(), logs.size());
  for (const auto& [key, value] : result->logs) {
    ASSERT_TRUE(logs.contains(key)) << key;
    ExpectSameNumber(value, logs.at(key).number_value(), key);
  }

  Tensors gradients;
  for (const auto& [head, tensor] : result->gradients) gradients.emplace(head, tensor);
  if (!result->log_vars_gradient.empty()) {
    gradients.emplace("log_vars", at::tensor(result->log_vars_gradient, at::kFloat));
  }
  const Tensors expected_gradients = WithPrefix(golden.tensors, "grad.");
  EXPECT_EQ(gradients.size(), expected_gradients.size());
  for (const auto& [head, gradient] : expected_gradients) {
    ASSERT_TRUE(gradients.contains(head)) << head;
    ExpectSameGradient(gradients.at(head), gradient, head);
  }
}

std::set<std::string> Cases() {
  std::set<std::string> cases;
  for (const auto& entry : std::filesystem::directory_iterator(LOSSD_GOLDEN_CASES)) {
    cases.insert(entry.path().filename());
  }
  return cases;
}

INSTANTIATE_TEST_SUITE_P(Cases, GoldenTest, testing::ValuesIn(Cases()),
                         [](const auto& tested) { return tested.param; });

}  // namespace
}  // namespace lossd
