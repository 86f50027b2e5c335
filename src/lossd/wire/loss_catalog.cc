#include "lossd/wire/loss_catalog.h"

#include <string>
#include <variant>

#include "lossd/base/words.h"
#include "lossd/losses/registry.h"

namespace lossd {
namespace {

void Describe(const Option& option, v1::OptionInfo* info) {
  info->set_name(std::string(option.name));
  info->set_type(TypeOf(option));
  info->set_default_value(TextOf(ValueOf(option)));
  info->set_summary(std::string(option.summary));
  if (option.range.text != kAnyNumber.text) info->set_range(std::string(option.range.text));
  if (const auto* word = std::get_if<WordField>(&option.field); word != nullptr) {
    for (const absl::string_view choice : word->words()) info->add_choices(std::string(choice));
  }
}

void Describe(LossConfig loss, v1::LossInfo* info) {
  const LossTraits& traits = loss.traits();
  info->set_name(std::string(traits.name));
  info->set_summary(std::string(traits.summary));
  info->set_source(std::string(traits.source));
  info->set_call_kind(Word(traits.call_kind));
  info->set_target_kind(Word(traits.target_kind));
  info->set_spatial_weight_arg(Word(traits.spatial_weight_arg));
  info->set_takes_gt_seg(traits.takes_gt_seg);
  info->set_usable_in_plan(traits.usable_in_plan);
  for (const Option& option : loss.Options()) {
    if (std::holds_alternative<FunctionField>(option.field)) continue;  // None to choose.
    Describe(option, info->add_options());
  }
}

}  // namespace

v1::ListLossesResponse LossCatalog() {
  v1::ListLossesResponse response;
  for (const LossConfig& loss : AllLosses()) Describe(loss, response.add_losses());
  return response;
}

}  // namespace lossd
