#include <unistd.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <iostream>
#include <memory>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "lossctl/command.h"
#include "lossctl/plan_file.h"
#include "lossctl/progress_line.h"
#include "lossd/base/error.h"
#include "lossd/tensor/npy.h"

namespace lossd {
namespace {

struct ComputeFlags {
  std::string plan;
  std::vector<std::string> outputs;
  std::string labels;
  std::string mask;
  std::string label_mask;
  std::string gt_seg;
  std::string mode = "standard";
  std::string stage = "train";
  std::vector<int64_t> crop_origin;
  std::optional<uint64_t> crop_seed;
  std::string out;
};

// Reads NAME=FILE, or FILE for the lone prediction "output".
absl::StatusOr<NamedTensor> ReadOutput(const std::string& text) {
  const size_t equals = text.find('=');
  const bool named = equals != std::string::npos;
  absl::StatusOr<at::Tensor> tensor = ReadNpy(named ? text.substr(equals + 1) : text);
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
    absl::StatusOr<NamedTensor> prediction = ReadOutput(output);
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
    const std::string path = absl::StrCat(folder, "/", gradient.name, ".npy");
    if (const absl::Status written = WriteNpy(path, gradient.tensor); !written.ok()) return written;
    std::cout << "gradient of " << gradient.name << ": " << path << "\n";
  }
  return absl::OkStatus();
}

// Computes, and shows a person how far it has come.
absl::StatusOr<Result> ComputeShown(const Client& client, const std::string& plan,
                                    const Batch& batch) {
  if (isatty(STDERR_FILENO) == 0) return client.Compute(plan, batch);
  ProgressLine line(std::cerr);
  return client.Compute(plan, batch,
                        {.progress = [&line](const Progress& progress) { line.Show(progress); }});
}

absl::Status Compute(const Session& session, const ComputeFlags& flags) {
  const absl::StatusOr<std::string> plan = ReadPlanFile(flags.plan);
  if (!plan.ok()) return plan.status();
  const absl::StatusOr<Batch> batch = ReadBatch(flags);
  if (!batch.ok()) return batch.status();
  if (!flags.out.empty()) {
    const absl::Status prepared = PrepareFolder(*batch, flags.out);
    if (!prepared.ok()) return prepared;
  }
  const absl::StatusOr<Client> client = session.Connect();
  if (!client.ok()) return client.status();
  const absl::StatusOr<Result> result = ComputeShown(*client, *plan, *batch);
  if (!result.ok()) return result.status();
  Print(*result);
  return flags.out.empty() ? absl::OkStatus() : WriteGradients(*result, flags.out);
}

}  // namespace

void DeclareCompute(CLI::App& app, Session& session) {
  CLI::App* command =
      app.add_subcommand("compute", "Losses, and with --out gradients, of arrays in .npy files");
  const auto flags = std::make_shared<ComputeFlags>();
  command->add_option("--plan", flags->plan, "The plan or training config, in YAML or JSON")
      ->required();
  command
      ->add_option("--output", flags->outputs,
                   "A prediction [B, C, Z, Y, X] or [B, C, Y, X]: FILE, or HEAD=FILE for each of "
                   "several heads")
      ->required();
  command->add_option("--labels", flags->labels, "Labels [B, L, ...]");
  command->add_option("--mask", flags->mask, "Where the batch counts, [B, 1 or C, ...]");
  command->add_option("--label_mask", flags->label_mask, "Which labels are known, like labels");
  command->add_option("--gt_seg", flags->gt_seg, "Instance labels for MALIS, [B, Z, Y, X]");
  command->add_option("--mode", flags->mode, "One scale, or outputs ds_1 ... ds_4 as well")
      ->check(CLI::IsMember({"standard", "deep_supervision"}))
      ->capture_default_str();
  command->add_option("--stage", flags->stage, "Prefix of the log keys")->capture_default_str();
  command->add_option("--crop_origin", flags->crop_origin, "First voxel z,y,x of MALIS's crop")
      ->delimiter(',')
      ->expected(3);
  command->add_option("--crop_seed", flags->crop_seed, "Seed from which the crop's place is drawn");
  command->add_option("--out", flags->out, "Folder for the gradients, one HEAD.npy each");
  DeclareTransport(*command, session);
  command->callback([&session, flags] { session.status = Compute(session, *flags); });
}

}  // namespace lossd
