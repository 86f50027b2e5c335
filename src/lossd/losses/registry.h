#ifndef LOSSD_LOSSES_REGISTRY_H_
#define LOSSD_LOSSES_REGISTRY_H_

#include <memory>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "lossd/losses/loss.h"
#include "lossd/v1/options.pb.h"
#include "lossd/v1/plan.pb.h"

namespace lossd {

// What is known of a loss without an instance of it.
struct LossTraits {
  absl::string_view name;
  absl::string_view summary;  // One sentence.
  absl::string_view source;   // Paper or library.
  v1::CallKind call_kind;
  v1::TargetKind target_kind;
  v1::SpatialWeightArg spatial_weight_arg;
  bool takes_gt_seg;
  bool usable_in_plan;
  // Checks the options and makes the loss. Errors are FieldErrors relative to the options ("beta").
  absl::StatusOr<std::unique_ptr<const Loss>> (*create)(const v1::LossOptions& options);
};

// Every loss, in alphabetical order. The only list there is: options.proto, ListLosses and the docs
// are checked against it by tests.
absl::Span<const LossTraits> AllLosses();

// The loss of that name; null when there is none.
const LossTraits* FindLoss(absl::string_view name);

// The options message that is set in `options`; null when none is.
const google::protobuf::Message* OptionsOf(const v1::LossOptions& options);
google::protobuf::Message* MutableOptionsOf(v1::LossOptions& options);

// The name of the loss that `options` holds the options of; empty when none is set.
absl::string_view LossName(const v1::LossOptions& options);

}  // namespace lossd

#endif  // LOSSD_LOSSES_REGISTRY_H_
