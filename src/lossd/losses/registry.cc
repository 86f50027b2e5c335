#include "lossd/losses/registry.h"

#include <algorithm>
#include <vector>

#include "lossd/losses/configured.h"
#include "lossd/losses/list.h"

namespace lossd {
namespace {

template <typename... Each>
std::vector<LossConfig> Defaults(TypeList<Each...> /*losses*/) {
  std::vector<LossConfig> defaults;
  (defaults.push_back(Configured(Each())), ...);
  return defaults;
}

}  // namespace

absl::Span<const LossConfig> AllLosses() {
  static const auto& losses = *new std::vector<LossConfig>(Defaults(Losses()));
  return losses;
}

const LossConfig* FindLoss(absl::string_view name) {
  const absl::Span<const LossConfig> losses = AllLosses();
  const auto* const found = std::find_if(losses.begin(), losses.end(), [&](const LossConfig& loss) {
    return loss.traits().name == name;
  });
  return found == losses.end() ? nullptr : found;
}

}  // namespace lossd
