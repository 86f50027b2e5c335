#ifndef LOSSCTL_TENSOR_COMMANDS_H_
#define LOSSCTL_TENSOR_COMMANDS_H_

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"

namespace lossd {

struct Session;

// The flags of the subcommands that work on tensors, as --help explains them.

struct ComputeFlags {
  std::string plan;
  std::vector<std::string> outputs;
  std::string cast;
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

struct BenchFlags {
  std::string plan;
  int64_t size = 64;
  int64_t batch = 2;
  std::string dtype = "float32";
  std::optional<std::string> concurrency;
  std::optional<double> rate;
  bool refusals = false;
  std::optional<double> duration;
  std::optional<int64_t> requests;
  int warmup = 3;
  double window = 2;
  int max_windows = 10;
};

struct MalisFlags {
  std::string affinities;
  bool logits = false;
  std::string gt_seg;
  std::string target;
  std::string mask;
  std::vector<std::string> nhood = {"-1,0,0", "0,-1,0", "0,0,-1"};
  int threads = 1;
  std::string out;
};

template <typename Flags>
using TensorCommand = std::function<absl::Status(const Session&, const Flags&)>;

// What does the work of them. LibTorch takes a quarter of a second to load, so they are in a
// program of their own, lossctl-tensors, which lossctl becomes where it is to do one of them.
struct TensorCommands {
  TensorCommand<ComputeFlags> compute;
  TensorCommand<BenchFlags> bench;
  TensorCommand<MalisFlags> malis;
};

// In lossctl-tensors.
absl::Status Compute(const Session& session, const ComputeFlags& flags);
absl::Status Bench(const Session& session, const BenchFlags& flags);
absl::Status Malis(const Session& session, const MalisFlags& flags);

}  // namespace lossd

#endif  // LOSSCTL_TENSOR_COMMANDS_H_
