#ifndef LOSSD_ORCHESTRATOR_PLAN_SCHEMA_H_
#define LOSSD_ORCHESTRATOR_PLAN_SCHEMA_H_

#include <google/protobuf/descriptor.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace lossd {

// How a message of a plan is written by people. Everything that PyTorch Connectomics' schema and
// plan.proto spell differently stands here.
struct PlanSchema {
  struct Alias {
    absl::string_view spelling;
    absl::string_view field;
  };
  // Other spellings of fields.
  absl::Span<const Alias> aliases;
  // Keys that are no fields of the message itself.
  absl::Span<const absl::string_view> read_elsewhere;
  // Keys that are accepted and have no effect here.
  absl::Span<const absl::string_view> without_effect;
  // Fields of the message that have no key of their own.
  absl::Span<const absl::string_view> hidden;

  // The field that a key is another spelling of; empty for other keys.
  absl::string_view FieldOfAlias(absl::string_view key) const;
  // Whether the message's fields have nothing to do with a key.
  bool Ignores(absl::string_view key) const;
  bool Hides(absl::string_view field) const;
};

PlanSchema SchemaOf(const google::protobuf::Descriptor* message);

// The keys that a message may be written with.
std::vector<std::string> KeysOf(const google::protobuf::Descriptor* message);

// "WeightedMSELossOptions" are the options of WeightedMSELoss.
std::string LossOfOptions(const google::protobuf::Descriptor* options);

}  // namespace lossd

#endif  // LOSSD_ORCHESTRATOR_PLAN_SCHEMA_H_
