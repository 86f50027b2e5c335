#ifndef LOSSD_SERVER_INFO_H_
#define LOSSD_SERVER_INFO_H_

// What a server says about itself, its losses, and plans.

#include <cstdint>
#include <string>
#include <vector>

#include "absl/time/time.h"

namespace lossd {

// What a server computes on.
struct DeviceInfo {
  std::string name;          // "cpu", or a GPU as "cuda:0".
  std::string description;   // "NVIDIA H100 80GB HBM3"; empty for "cpu".
  std::string architecture;  // "sm_90"; for "cpu" the vector instructions.
  int64_t memory_bytes = 0;  // Of its own; 0 for "cpu".
  bool in_service = true;    // False once it has failed.
};

struct ServerInfo {
  std::string version;              // Of lossd, for example "0.1.0".
  std::string torch_version;        // Of its LibTorch.
  std::vector<DeviceInfo> devices;  // That it computes on.
  int threads = 0;                  // That compute.
  int max_concurrent_requests = 0;  // Computed at the same time.
  int max_queued_requests = 0;      // That may wait before others are refused.
  int64_t max_request_bytes = 0;    // Of a request's tensors, and of an answer's.
  absl::Duration uptime;            // Since its start.
};

// An option of a loss.
struct OptionDescription {
  std::string name;                  // The key in `kwargs`.
  std::string type;                  // In words: "bool", "int", "float", "list of float", ….
  std::string default_value;         // As text; empty when absent by default.
  std::vector<std::string> choices;  // The values it may take, when it is one of a few words.
  std::string summary;               // What it means, a sentence.
  std::string range;                 // What a number may be, "a number > 0"; empty for any finite.
};

// A loss that a server computes.
struct LossDescription {
  std::string name;                // In plans.
  std::string summary;             // What it is, a sentence.
  std::string source;              // The paper or library it comes from.
  std::string call_kind;           // What it is called with: "pred_target", ….
  std::string target_kind;         // What its target holds: "dense", ….
  std::string spatial_weight_arg;  // Its spatial argument: "weight", "mask" or "none".
  bool takes_gt_seg = false;       // Whether it looks at the segmentation.
  bool usable_in_plan = false;     // Whether a plan may have it.
  std::vector<OptionDescription> options;
};

// A mistake in a plan.
struct PlanProblem {
  std::string field;    // For example "losses[1].kwargs.sigmoid".
  std::string message;  // "<field>: got …, expected …", with a suggestion where one is close.
};

// What a server says of a plan: one of the two is empty.
struct PlanCheck {
  std::vector<PlanProblem> problems;  // All that is wrong.
  // For each term what it does and what it needs, and how they are balanced if they are, in words.
  std::vector<std::string> explanations;
};

}  // namespace lossd

#endif  // LOSSD_SERVER_INFO_H_
