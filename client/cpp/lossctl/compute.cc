#include <ATen/ATen.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <iostream>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "lossctl/command.h"
#include "lossctl/json.h"
#include "lossctl/plan_file.h"
#include "lossctl/progress_line.h"
#include "lossctl/tensor_commands.h"
#include "lossd/base/error.h"
#include "lossd/client.h"
#include "lossd/tensor/dtype_name.h"
#include "lossd/tensor/npy.h"

namespace lossd {
namespace {

// A prediction as it is sent; `cast` names the type to convert it to, if that is asked for.
absl::StatusOr<at::Tensor> Cast(const at::Tensor& tensor, const std::string& cast,
                                const std::string& path) {
  constexpr std::array kTypes = {at::kFloat, at::kHalf, at::kBFloat16};
  for (const at::ScalarType type : kTypes) {
    if (cast.empty() ? tensor.scalar_type() == type : cast == DTypeName(type)) {
      return tensor.to(type);
    }
  }
  return FieldError("--output", absl::StrCat(DTypeName(tensor.scalar_type()), " in ", path),
                    "float32, float16 or bfloat16: --cast float32 converts it");
}

// Reads NAME=FILE, or FILE for the lone prediction "output".
absl::StatusOr<NamedTensor> ReadOutput(const std::string& text, const std::string& cast) {
  const size_t equals = text.find('=');
  const bool named = equals != std::string::npos;
  const std::string path = named ? text.substr(equals + 1) : text;
  const absl::StatusOr<at::Tensor> read = ReadNpy(path);
  if (!read.ok()) return read.status();
  absl::StatusOr<at::Tensor> tensor = Cast(*read, cast, path);
  if (!tensor.ok()) return tensor.status();
  return NamedTensor{named ? text.substr(0, equals) : "output", *std::move(tensor)};
}

// Reads an array if there is a path.
absl::Status ReadOptional(const std::string& path, at::Tensor& tensor) {
  if (path.empty()) return absl::OkStatus();
  absl::StatusOr<at::Tensor> read = ReadNpy(path);
  if (!read.ok()) return read.status();
  tensor = *std::move(read);
  return absl::OkStatus();
}

absl::StatusOr<Batch> ReadBatch(const ComputeFlags& flags) {
  Batch batch;
  batch.mode = flags.mode == "standard" ? Mode::kStandard : Mode::kDeepSupervision;
  batch.stage = flags.stage;
  for (const std::string& output : flags.outputs) {
    absl::StatusOr<NamedTensor> prediction = ReadOutput(output, flags.cast);
    if (!prediction.ok()) return prediction.status();
    batch.predictions.push_back(*std::move(prediction));
  }
  absl::Status read = ReadOptional(flags.labels, batch.labels);
  read.Update(ReadOptional(flags.mask, batch.mask));
  read.Update(ReadOptional(flags.label_mask, batch.label_mask));
  read.Update(ReadOptional(flags.gt_seg, batch.gt_seg));
  if (!read.ok()) return read;
  if (!flags.crop_origin.empty()) {
    batch.malis_crop_origins.push_back(
        {flags.crop_origin[0], flags.crop_origin[1], flags.crop_origin[2]});
  }
  batch.malis_crop_seed = flags.crop_seed;
  batch.losses_only = flags.out.empty();
  return batch;
}

void Print(const Result& result) {
  for (const auto& [key, value] : result.logs) {
    std::cout << absl::StreamFormat("%-40s %.9g\n", key, value);
  }
  for (const TermOutcome& term : result.terms) {
    if (!term.malis_crop_origin.has_value()) continue;
    const auto& [z, y, x] = *term.malis_crop_origin;
    std::cout << absl::StreamFormat("%-40s %d,%d,%d\n",
                                    absl::StrCat(term.name, " crop origin (z,y,x)"), z, y, x);
  }
  if (result.malis_crop_seed.has_value()) {
    std::cout << absl::StreamFormat("%-40s %d\n", "crop seed", *result.malis_crop_seed);
  }
  std::cout << absl::StreamFormat("%-40s %.9g\n", "total", result.total);
  std::cout << "computed in " << absl::FormatDuration(result.timings.compute) << ", round trip "
            << absl::FormatDuration(result.timings.round_trip) << "\n";
}

// Where the gradient of a head is written.
std::string PathOf(const NamedTensor& gradient, const std::string& folder) {
  return absl::StrCat(folder, "/", gradient.name, ".npy");
}

Json TermJson(const TermOutcome& term) {
  Json origin;
  if (term.malis_crop_origin.has_value()) {
    const auto& [z, y, x] = *term.malis_crop_origin;
    origin = Json::List({z, y, x});
  }
  return Json::Object({{"name", term.name},
                       {"function", term.function},
                       {"scale", term.scale},
                       {"raw", term.raw},
                       {"coefficient", term.coefficient},
                       {"weighted", term.weighted},
                       {"balance_weight", term.balance_weight},
                       {"malis_crop_origin", origin},
                       {"seconds", term.time}});
}

Json TimingsJson(const CallTimings& timings) {
  return Json::Object({{"round_trip", timings.round_trip},
                       {"client_send", timings.client_send},
                       {"network", timings.network},
                       {"queue", timings.queue},
                       {"decode", timings.decode},
                       {"compute", timings.compute},
                       {"encode", timings.encode},
                       {"client_receive", timings.client_receive}});
}

Json ResultJson(const Result& result, const std::string& folder) {
  const std::vector<Json::Member> logs(result.logs.begin(), result.logs.end());
  std::vector<Json::Member> paths;
  for (const NamedTensor& gradient : result.gradients) {
    if (!folder.empty()) paths.emplace_back(gradient.name, PathOf(gradient, folder));
  }
  std::vector<Json> terms;
  for (const TermOutcome& term : result.terms) terms.push_back(TermJson(term));
  const auto& seed = result.malis_crop_seed;
  return Json::Object({{"request_id", result.request_id},
                       {"total", result.total},
                       {"logs", Json::Object(logs)},
                       {"terms", Json::List(terms)},
                       {"malis_crop_seed", seed.has_value() ? Json(*seed) : Json()},
                       {"gradients", Json::Object(paths)},
                       {"seconds", TimingsJson(result.timings)},
                       {"bytes_sent", result.bytes.sent},
                       {"bytes_received", result.bytes.received}});
}

// Makes the folder for the gradients, which are to be NAME.npy there.
absl::Status PrepareFolder(const Batch& batch, const std::string& folder) {
  for (const NamedTensor& prediction : batch.predictions) {
    if (!absl::StrContains(prediction.name, '/')) continue;
    return FieldError("--output", absl::StrCat("the head '", prediction.name, "'"),
                      "one whose name can be that of a file, for --out");
  }
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  return error ? absl::ErrnoToStatus(error.value(), folder) : absl::OkStatus();
}

absl::Status WriteGradients(const Result& result, const std::string& folder) {
  for (const NamedTensor& gradient : result.gradients) {
    const absl::Status written = WriteNpy(PathOf(gradient, folder), gradient.tensor);
    if (!written.ok()) return written;
  }
  return absl::OkStatus();
}

// Says what came of it, gradients in the `folder` included where there is one.
void Report(const Session& session, const Result& result, const std::string& folder) {
  if (session.json) {
    std::cout << ResultJson(result, folder).text() << "\n";
    return;
  }
  Print(result);
  if (folder.empty()) return;
  for (const NamedTensor& gradient : result.gradients) {
    std::cout << "gradient of " << gradient.name << ": " << PathOf(gradient, folder) << "\n";
  }
}

// Computes, and shows a person how far it has come.
absl::StatusOr<Result> ComputeShown(const Client& client, const std::string& plan,
                                    const Batch& batch) {
  if (isatty(STDERR_FILENO) == 0) return client.Compute(plan, batch);
  ProgressLine line(std::cerr);
  return client.Compute(plan, batch,
                        {.progress = [&line](const Progress& progress) { line.Show(progress); }});
}

}  // namespace

absl::Status Compute(const Session& session, const ComputeFlags& flags) {
  const absl::StatusOr<std::string> plan = ReadPlanFile(flags.plan);
  if (!plan.ok()) return plan.status();
  const absl::StatusOr<Batch> batch = ReadBatch(flags);
  if (!batch.ok()) return batch.status();
  if (!flags.out.empty()) {
    const absl::Status prepared = PrepareFolder(*batch, flags.out);
    if (!prepared.ok()) return prepared;
  }
  const absl::StatusOr<Client> client = Client::Connect(session.server, session.options());
  if (!client.ok()) return client.status();
  const absl::StatusOr<Result> result = ComputeShown(*client, *plan, *batch);
  if (!result.ok()) return result.status();
  if (!flags.out.empty()) {
    if (absl::Status written = WriteGradients(*result, flags.out); !written.ok()) return written;
  }
  Report(session, *result, flags.out);
  return absl::OkStatus();
}

}  // namespace lossd
