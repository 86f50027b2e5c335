#include "server/loss_catalog.h"

#include <google/protobuf/descriptor.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "lossd/losses/registry.h"
#include "lossd/orchestrator/vocabulary.h"
#include "lossd/v1/options.pb.h"

namespace lossd {
namespace {

using google::protobuf::FieldDescriptor;

// The word for the type of one value.
std::string TypeWord(const FieldDescriptor& field) {
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return "bool";
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      return "float";
    case FieldDescriptor::CPPTYPE_STRING:
    case FieldDescriptor::CPPTYPE_ENUM:
      return "string";
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return absl::AsciiStrToLower(field.message_type()->name());
    default:
      return "int";
  }
}

// The default as people write it in a plan; empty when the option is absent by default.
std::string DefaultText(const FieldDescriptor& field) {
  if (!field.has_default_value()) return "";
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return field.default_value_bool() ? "true" : "false";
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return absl::StrCat(field.default_value_double());
    case FieldDescriptor::CPPTYPE_FLOAT:
      return absl::StrCat(field.default_value_float());
    case FieldDescriptor::CPPTYPE_INT32:
      return absl::StrCat(field.default_value_int32());
    case FieldDescriptor::CPPTYPE_INT64:
      return absl::StrCat(field.default_value_int64());
    case FieldDescriptor::CPPTYPE_UINT32:
      return absl::StrCat(field.default_value_uint32());
    case FieldDescriptor::CPPTYPE_UINT64:
      return absl::StrCat(field.default_value_uint64());
    case FieldDescriptor::CPPTYPE_ENUM:
      return Word(*field.default_value_enum());
    case FieldDescriptor::CPPTYPE_STRING:
      return field.default_value_string();
    case FieldDescriptor::CPPTYPE_MESSAGE:
      break;
  }
  return "";
}

void Describe(const FieldDescriptor& field, v1::OptionInfo* option) {
  option->set_name(field.name());
  option->set_type(absl::StrCat(field.is_repeated() ? "list of " : "", TypeWord(field)));
  option->set_default_value(DefaultText(field));
  if (field.enum_type() == nullptr) return;
  for (std::string& word : Words(*field.enum_type())) option->add_choices(std::move(word));
}

void Describe(const LossTraits& traits, v1::LossInfo* info) {
  info->set_name(std::string(traits.name));
  info->set_summary(std::string(traits.summary));
  info->set_source(std::string(traits.source));
  info->set_call_kind(Word(traits.call_kind));
  info->set_target_kind(Word(traits.target_kind));
  info->set_spatial_weight_arg(Word(traits.spatial_weight_arg));
  info->set_takes_gt_seg(traits.takes_gt_seg);
  info->set_usable_in_plan(traits.usable_in_plan);
  const auto* options = google::protobuf::DescriptorPool::generated_pool()->FindMessageTypeByName(
      absl::StrCat("lossd.v1.", traits.name, "Options"));
  for (int i = 0; options != nullptr && i < options->field_count(); ++i) {
    Describe(*options->field(i), info->add_options());
  }
}

}  // namespace

v1::ListLossesResponse LossCatalog() {
  // Makes sure that the linker keeps the descriptors, which are looked up by name.
  v1::LossOptions::descriptor();
  v1::ListLossesResponse response;
  for (const LossTraits& traits : AllLosses()) Describe(traits, response.add_losses());
  return response;
}

}  // namespace lossd
