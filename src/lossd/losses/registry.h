#ifndef LOSSD_LOSSES_REGISTRY_H_
#define LOSSD_LOSSES_REGISTRY_H_

#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "lossd/losses/loss_config.h"

namespace lossd {

// Every loss of list.h with its default options, in alphabetical order.
absl::Span<const LossConfig> AllLosses();

// The loss of that name; null when there is none.
const LossConfig* FindLoss(absl::string_view name);

}  // namespace lossd

#endif  // LOSSD_LOSSES_REGISTRY_H_
