#include "lossd/plan/document_reader.h"

#include <algorithm>
#include <array>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lossd/base/error.h"
#include "lossd/losses/registry.h"
#include "lossd/plan/document_value.h"
#include "lossd/plan/nearest_name.h"

namespace lossd {
namespace {

using Kind = DocumentNode::Kind;

// Enough to mend a plan by; a megabyte of rubbish need not be described in full.
constexpr size_t kMaxProblems = 100;

std::string Join(absl::string_view path, absl::string_view key) {
  return path.empty() ? std::string(key) : absl::StrCat(path, ".", key);
}

std::string Item(absl::string_view path, size_t index) {
  return absl::StrCat(path, "[", index, "]");
}

// What may have been meant, else what there is to choose from.
std::string MeantOrKnown(absl::string_view name, const std::vector<std::string>& names) {
  if (names.empty()) return " (there are none)";
  const std::string meant = DidYouMean(name, names);
  return meant.empty() ? absl::StrCat(" (known: ", absl::StrJoin(names, ", "), ")") : meant;
}

}  // namespace

void DocumentReader::Problem(absl::string_view field, absl::string_view given,
                             absl::string_view expected) {
  Problem(field, absl::StrCat("got ", given, ", expected ", expected));
}

void DocumentReader::Problem(absl::string_view field, absl::string_view message) {
  if (problems_.size() < kMaxProblems) problems_.push_back(FieldError(field, message));
}

void DocumentReader::UnknownKey(absl::string_view path, absl::string_view key,
                                const std::vector<std::string>& keys) {
  if (problems_.size() == kMaxProblems) return;  // Looking for the nearest name takes time.
  Problem(Join(path, Printable(key)), absl::StrCat("unknown field", MeantOrKnown(key, keys)));
}

void DocumentReader::ReadMapping(const DocumentNode& node, const std::string& path,
                                 const std::vector<Entry>& entries,
                                 absl::Span<const absl::string_view> passed_over,
                                 absl::string_view expected) {
  if (node.kind == Kind::kNull) return;
  std::vector<std::string> keys;
  for (const Entry& entry : entries) keys.emplace_back(entry.key);
  for (const Entry& entry : entries) {
    if (!entry.other_spelling.empty()) keys.emplace_back(entry.other_spelling);
  }
  for (const absl::string_view key : passed_over) keys.emplace_back(key);
  if (node.kind != Kind::kMapping) {
    return Problem(path, Describe(node),
                   expected.empty() ? absl::StrCat("a mapping of ", absl::StrJoin(keys, ", "))
                                    : std::string(expected));
  }
  // Other spellings first: a field's own name wins.
  for (const bool own_name : {false, true}) {
    for (const auto& [key, value] : node.entries) {
      const auto entry =
          std::find_if(entries.begin(), entries.end(), [own_name, &name = key](const Entry& e) {
            return !name.empty() && name == (own_name ? e.key : e.other_spelling);
          });
      if (entry == entries.end()) {
        if (own_name && std::find(keys.begin(), keys.end(), key) == keys.end()) {
          UnknownKey(path, key, keys);
        }
      } else if (value->kind == Kind::kNull) {
        entry->read_null();
      } else {
        if (own_name) {
          spelling_.erase(Join(path, entry->key));
        } else {
          spelling_[Join(path, entry->key)] = Join(path, key);
        }
        entry->read(*value, Join(path, key));
      }
    }
  }
}

void DocumentReader::Read(const DocumentNode& node, const std::string& path, Plan* plan) {
  const auto profile = [this](const DocumentNode& /*node*/, const std::string& of) {
    Problem(of, "names losses that only the trainer knows; expected losses, spelled out");
  };
  ReadMapping(node, path,
              {{"losses", Into(&plan->losses)},
               {"clamp_min", Into(&plan->clamp_min), "deep_supervision_clamp_min"},
               {"clamp_max", Into(&plan->clamp_max), "deep_supervision_clamp_max"},
               {"deep_supervision_weights", Into(&plan->deep_supervision_weights)},
               {"heads", Into(&plan->heads)},
               {"primary_head", Into(&plan->primary_head)},
               {"loss_balancing", Into(&plan->loss_balancing)},
               {"profile", profile}},
              {"deep_supervision"});
}

void DocumentReader::Read(const DocumentNode& node, const std::string& path, Term* term) {
  // PyTorch Connectomics reads a null as no for two fields.
  const auto no_weight = [term] { term->spatial_weight_arg = SpatialWeightArg::kNone; };
  const auto no_supervision = [term] { term->apply_deep_supervision = false; };
  ReadMapping(node, path,
              {{"coefficient", Into(&term->coefficient), "weight"},
               {"pred_slice", Into(&term->pred_slice), "pred"},
               {"target_slice", Into(&term->target_slice), "target"},
               {"pred2_slice", Into(&term->pred2_slice), "pred2"},
               {"mask_slice", Into(&term->mask_slice), "mask"},
               {"pred_head", Into(&term->pred_head)},
               {"pred2_head", Into(&term->pred2_head)},
               {"call_kind", Into(&term->call_kind), "call"},
               {"target_kind", Into(&term->target_kind)},
               {"spatial_weight_arg", Into(&term->spatial_weight_arg), "", no_weight},
               {"apply_deep_supervision", Into(&term->apply_deep_supervision), "", no_supervision},
               {"pos_weight", Into(&term->pos_weight)},
               {"require_label_mask", Into(&term->require_label_mask)}},
              {"function", "kwargs"}, "a mapping such as {function: MSELoss}");
  if (node.kind == Kind::kMapping) ReadLoss(node, path, &term->loss);
}

void DocumentReader::ReadLoss(const DocumentNode& term, const std::string& path,
                              std::optional<LossConfig>* loss) {
  const std::string field = Join(path, "function");
  const DocumentNode* const function = term.Find("function");
  if (function == nullptr) return Problem(field, "missing, expected the name of a loss");
  if (function->kind != Kind::kScalar) {
    return Problem(field, Describe(*function), "the name of a loss");
  }
  const LossConfig* const found = FindLoss(function->text);
  if (found == nullptr) {
    std::vector<std::string> names;
    for (const LossConfig& known : AllLosses()) names.emplace_back(known.traits().name);
    return Problem(field, absl::StrCat("unknown loss ", Quoted(function->text),
                                       MeantOrKnown(function->text, names)));
  }
  *loss = *found;
  if (const DocumentNode* const kwargs = term.Find("kwargs"); kwargs != nullptr) {
    ReadOptions(*kwargs, Join(path, "kwargs"), **loss);
  }
}

void DocumentReader::ReadOptions(const DocumentNode& kwargs, const std::string& path,
                                 LossConfig& loss) {
  std::vector<Entry> entries;
  for (const Option& option : loss.Options()) {
    entries.push_back({option.name, [this, field = option.field](const DocumentNode& node,
                                                                 const std::string& of) {
                         std::visit([&](const auto& into) { Read(node, of, into); }, field);
                       }});
  }
  ReadMapping(kwargs, path, entries);
}

void DocumentReader::Read(const DocumentNode& node, const std::string& path, Head* head) {
  ReadMapping(
      node, path,
      {{"target_slice", Into(&head->target_slice)}, {"out_channels", Into(&head->out_channels)}},
      {"num_blocks", "hidden_channels"});
}

void DocumentReader::Read(const DocumentNode& node, const std::string& path,
                          LossBalancing* balancing) {
  ReadMapping(node, path,
              {{"strategy", Into(&balancing->strategy)},
               {"gradnorm_alpha", Into(&balancing->gradnorm_alpha)},
               {"gradnorm_lambda", Into(&balancing->gradnorm_lambda)}},
              {"gradnorm_parameter_strategy"});
}

void DocumentReader::Read(const DocumentNode& node, const std::string& path,
                          std::vector<Term>* terms) {
  if (node.kind != Kind::kSequence) return Problem(path, Describe(node), "a list");
  terms->clear();
  for (size_t i = 0; i < node.items.size(); ++i) {
    Term& term = terms->emplace_back();
    if (node.items[i]->kind == Kind::kNull) {
      Problem(Item(path, i), "null", "a value");
    } else {
      Read(*node.items[i], Item(path, i), &term);
    }
  }
}

void DocumentReader::Read(const DocumentNode& node, const std::string& path,
                          std::map<std::string, Head>* heads) {
  if (node.kind != Kind::kMapping) return Problem(path, Describe(node), "a mapping");
  for (const auto& [key, value] : node.entries) {
    Read(*value, Join(path, Printable(key)), &(*heads)[key]);
  }
}

void DocumentReader::Read(const DocumentNode& node, const std::string& path, ChannelSlice* slice) {
  if (node.kind != Kind::kScalar || IsAmbiguous(node)) {
    return Problem(path, Describe(node), R"(a channel index or "start:stop")");
  }
  auto parsed = ParseChannelSlice(node.text);
  if (!parsed.ok()) return Problem(path, parsed.status().message());
  *slice = *parsed;
}

void DocumentReader::Read(const DocumentNode& node, const std::string& path, PosWeight* weight) {
  if (const auto number = AsNumber(node); number.has_value()) {
    weight->value = number;
  } else if (node.kind == Kind::kScalar &&
             absl::EqualsIgnoreCase(absl::StripAsciiWhitespace(node.text), "auto")) {
    weight->value.reset();
  } else {
    Problem(path, Describe(node), "a number > 0 or auto");
  }
}

void DocumentReader::Read(const DocumentNode& node, const std::string& path, Offset* offset) {
  if (node.kind != Kind::kSequence || node.items.size() != 3) {
    return Problem(path, Describe(node), "an offset [z, y, x] of three integers");
  }
  const std::array<int64_t*, 3> zyx = {&offset->z, &offset->y, &offset->x};
  for (size_t i = 0; i < zyx.size(); ++i) Read(*node.items[i], Item(path, i), zyx[i]);
}

void DocumentReader::Read(const DocumentNode& node, const std::string& path,
                          std::vector<Offset>* offsets) {
  if (node.kind != Kind::kSequence) return Problem(path, Describe(node), "a list");
  offsets->resize(node.items.size());
  for (size_t i = 0; i < node.items.size(); ++i) {
    Read(*node.items[i], Item(path, i), &(*offsets)[i]);
  }
}

template <typename Number>
void DocumentReader::Read(const DocumentNode& node, const std::string& path,
                          std::vector<Number>* numbers) {
  if (node.kind != Kind::kSequence) {
    numbers->resize(1);
    return Read(node, path, &numbers->front());
  }
  numbers->resize(node.items.size());
  for (size_t i = 0; i < node.items.size(); ++i) {
    Read(*node.items[i], Item(path, i), &(*numbers)[i]);
  }
}

void DocumentReader::Read(const DocumentNode& node, const std::string& path, bool* flag) {
  const auto value = AsBool(node);
  if (!value.has_value()) return Problem(path, Describe(node), "true or false");
  *flag = *value;
}

void DocumentReader::Read(const DocumentNode& node, const std::string& path, int64_t* number) {
  const auto value = AsInteger(node);
  if (!value.has_value()) return Problem(path, Describe(node), "an integer");
  *number = *value;
}

void DocumentReader::Read(const DocumentNode& node, const std::string& path, double* number) {
  const auto value = AsNumber(node);
  if (!value.has_value()) {
    return Problem(path, Describe(node), "a number that is finite in float32");
  }
  *number = *value;
}

void DocumentReader::Read(const DocumentNode& node, const std::string& path, WordField word) {
  const std::vector<std::string> words(word.words().begin(), word.words().end());
  for (size_t i = 0; i < words.size(); ++i) {
    if (node.kind == Kind::kScalar && absl::EqualsIgnoreCase(words[i], node.text)) {
      return word.Set(i);
    }
  }
  Problem(path, Describe(node),
          absl::StrCat("one of ", absl::StrJoin(words, ", "), DidYouMean(node.text, words)));
}

void DocumentReader::Read(const DocumentNode& node, const std::string& path,
                          FunctionField function) {
  Problem(path, Describe(node),
          absl::StrCat("none, as a plan holds no functions: ", function.instead));
}

void DocumentReader::Read(const DocumentNode& node, const std::string& path, std::string* name) {
  const absl::string_view text = absl::StripAsciiWhitespace(node.text);
  if (node.kind != Kind::kScalar || text.empty() || AsNumber(node).has_value() ||
      AsBool(node).has_value()) {
    return Problem(path, Describe(node), "a name");
  }
  *name = std::string(text);
}

}  // namespace lossd
