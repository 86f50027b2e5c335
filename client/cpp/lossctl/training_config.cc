#include "lossctl/training_config.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "lossctl/config_files.h"
#include "lossd/base/error.h"
#include "lossd/plan/document_value.h"
#include "lossd/plan/nearest_name.h"

namespace lossd {
namespace {

using Kind = DocumentNode::Kind;

// A key that names a profile, the top-level key under which the profiles of that kind are, and the
// section that the profile fills.
struct Selector {
  absl::string_view key;
  absl::string_view registry;
  absl::string_view target;
};

// Those with a say in losses and heads, in the order in which PyTorch Connectomics applies them: a
// pipeline names further profiles.
constexpr Selector kSelectors[] = {
    {"default.pipeline_profile", "pipeline_profiles", "default"},
    {"default.model.arch.profile", "arch_profiles", "default.model"},
    {"train.model.arch.profile", "arch_profiles", "train.model"},
    {"default.model.loss.profile", "loss_profiles", "default.model.loss"},
    {"train.model.loss.profile", "loss_profiles", "train.model.loss"},
};

// Keys that PyTorch Connectomics refuses where they stand, and where it takes them.
constexpr struct {
  absl::string_view key;
  absl::string_view expected;
} kMisplaced[] = {
    {"losses", "model.loss.losses under default or train"},
    {"loss", "model.loss under default or train"},
    {"shared", "default"},
    {"pipeline_profile", "default.pipeline_profile"},
    {"train.pipeline_profile", "default.pipeline_profile"},
    {"model.arch.profile", "default.model.arch.profile"},
    {"model.loss.profile", "default.model.loss.profile"},
    {"default._base_", "_base_ at the root of the file"},
    {"train._base_", "_base_ at the root of the file"},
};

constexpr absl::string_view kModel = "model";
// What is merged, in this order, and the sections that it lies in.
constexpr absl::string_view kStages[] = {kModel, "default.model", "train.model"};
constexpr absl::string_view kSections[] = {"default", "train", kModel, "default.model",
                                           "train.model"};

constexpr absl::string_view kLoss = "loss";
// What a plan is made of.
constexpr absl::string_view kTaken[] = {kLoss, "heads", "primary_head"};

class Resolver {
 public:
  explicit Resolver(const ConfigFiles& files) : files_(files), config_(files.merged()) {}

  absl::StatusOr<ConfigNode> Resolve() {
    if (absl::Status status = CheckSections(); !status.ok()) return status;
    for (const Selector& selector : kSelectors) {
      if (absl::Status status = ApplyProfile(selector); !status.ok()) return status;
    }
    // Profiles fill sections too.
    if (absl::Status status = CheckSections(); !status.ok()) return status;
    const absl::StatusOr<ConfigNode> model = MergeStages();
    if (!model.ok()) return model;
    return TakeSections(*model);
  }

 private:
  absl::Status Error(const DocumentNode& node, absl::string_view key,
                     absl::string_view message) const {
    return FieldError(absl::StrCat(files_.FileOf(node), ": ", key), message);
  }

  absl::Status CheckSections() const {
    for (const auto& [key, expected] : kMisplaced) {
      const ConfigNode node = At(config_, key);
      if (node != nullptr) {
        return Error(*node, key, absl::StrCat("not read here, expected ", expected));
      }
    }
    for (const absl::string_view key : kSections) {
      const ConfigNode node = At(config_, key);
      if (node != nullptr && node->kind != Kind::kMapping) return NotAMapping(*node, key);
    }
    return absl::OkStatus();
  }

  absl::Status NotAMapping(const DocumentNode& node, absl::string_view key) const {
    if (IsInterpolation(node)) return Interpolation(node, key);
    return Error(node, key, absl::StrCat("got ", Describe(node), ", expected a mapping"));
  }

  absl::Status Interpolation(const DocumentNode& node, absl::string_view key) const {
    return Error(
        node, key,
        absl::StrCat(
            Quoted(node.text),
            " is an interpolation, which takes OmegaConf to resolve. Check the file that this "
            "writes, where PyTorch Connectomics is installed:\n"
            "python -c 'import dataclasses, json, sys, connectomics.config as c; "
            "print(json.dumps({\"model\": dataclasses.asdict("
            "c.resolve_default_profiles(c.load_config(sys.argv[1])).model)}))' ",
            "\"", files_.root(), "\" > resolved.json"));
  }

  absl::Status ApplyProfile(const Selector& selector) {
    const ConfigNode name = At(config_, selector.key);
    if (name == nullptr) return absl::OkStatus();
    const absl::StatusOr<ConfigNode> profile = FindProfile(selector, *name);
    if (!profile.ok()) return profile.status();
    absl::StatusOr<ConfigNode> filled =
        Merge(*profile, At(config_, selector.target), selector.target);
    if (!filled.ok()) return Error(*name, selector.key, filled.status().message());
    config_ = With(config_, selector.target, *std::move(filled));
    if (selector.registry != "loss_profiles") return absl::OkStatus();
    return ApplyOverrides(selector.target);
  }

  absl::StatusOr<ConfigNode> FindProfile(const Selector& selector, const DocumentNode& name) const {
    if (IsInterpolation(name)) return Interpolation(name, selector.key);
    const ConfigNode registry = At(config_, selector.registry);
    if (registry == nullptr) {
      return Error(name, selector.key,
                   absl::StrCat("names profile ", Quoted(name.text), ", but there are no ",
                                selector.registry,
                                "; expected a _base_ that has them, such as PyTorch Connectomics' "
                                "connectomics/config/all_profiles.yaml"));
    }
    ConfigNode profile = Child(registry, name.text);
    if (profile == nullptr) {
      std::vector<std::string> known;
      for (const auto& entry : registry->entries) known.push_back(Printable(entry.first));
      return Error(name, selector.key,
                   absl::StrCat("unknown profile ", Quoted(name.text), DidYouMean(name.text, known),
                                " (", selector.registry, ": ", absl::StrJoin(known, ", "), ")"));
    }
    if (profile->kind != Kind::kMapping) {
      return NotAMapping(*profile, absl::StrCat(selector.registry, ".", Printable(name.text)));
    }
    return profile;
  }

  // Patches single terms of the losses that a profile brought. Overrides without losses are left
  // for the server to refuse.
  absl::Status ApplyOverrides(absl::string_view section) {
    const ConfigNode loss = At(config_, section);
    const ConfigNode overrides = Child(loss, "overrides");
    const ConfigNode losses = Child(loss, "losses");
    if (overrides == nullptr || losses == nullptr || losses->kind != Kind::kSequence) {
      return absl::OkStatus();
    }
    const std::string key = absl::StrCat(section, ".overrides");
    if (overrides->kind != Kind::kMapping) return NotAMapping(*overrides, key);
    auto patched = std::make_shared<DocumentNode>(*losses);
    for (const auto& [index, patch] : overrides->entries) {
      if (patch->kind == Kind::kNull) continue;
      const std::string entry = absl::StrCat(key, ".", Printable(index));
      size_t place = 0;
      if (!absl::SimpleAtoi(index, &place) || place >= patched->items.size()) {
        return Error(*patch, entry,
                     absl::StrCat("expected the index of one of the ", patched->items.size(),
                                  " losses, from 0"));
      }
      if (patch->kind != Kind::kMapping) return NotAMapping(*patch, entry);
      absl::StatusOr<ConfigNode> term = Merge(patched->items[place], patch, entry);
      if (!term.ok()) return FieldError(files_.FileOf(*patch), term.status().message());
      patched->items[place] = *std::move(term);
    }
    config_ = With(config_, section, Without(With(loss, "losses", patched), "overrides"));
    return absl::OkStatus();
  }

  absl::StatusOr<ConfigNode> MergeStages() const {
    ConfigNode model = std::make_shared<DocumentNode>();
    for (const absl::string_view key : kStages) {
      ConfigNode stage = At(config_, key);
      if (stage == nullptr) continue;
      // A stage passes on what it sets; `heads: {a: {}}` sets nothing there.
      if (key != kModel) stage = WithoutEmptyMappings(stage);
      absl::StatusOr<ConfigNode> both = Merge(model, stage, kModel);
      if (!both.ok()) return FieldError(files_.root(), both.status().message());
      model = *std::move(both);
    }
    return model;
  }

  absl::StatusOr<ConfigNode> TakeSections(const ConfigNode& model) const {
    auto taken = std::make_shared<DocumentNode>();
    taken->kind = Kind::kMapping;
    for (const absl::string_view key : kTaken) {
      ConfigNode section = Child(model, key);
      if (section == nullptr) continue;
      const std::string path = absl::StrCat("model.", key);
      if (absl::Status status = RefuseInterpolations(*section, path); !status.ok()) return status;
      // A profile that was named has been put in its place.
      if (key == kLoss) section = Without(section, "profile");
      taken->entries.emplace_back(key, std::move(section));
    }
    const ConfigNode loss = Child(taken, kLoss);
    if (loss == nullptr || (loss->kind == Kind::kMapping && loss->Find("losses") == nullptr)) {
      return FieldError(
          files_.root(),
          "trains nothing: neither it nor a base file of it sets model.loss.losses, so there is no "
          "plan in it (configs that only decode, or that others build on, have none)");
    }
    return taken;
  }

  absl::Status RefuseInterpolations(const DocumentNode& node, const std::string& path) const {
    if (IsInterpolation(node)) return Interpolation(node, path);
    absl::Status status;
    for (size_t i = 0; i < node.items.size(); ++i) {
      status.Update(RefuseInterpolations(*node.items[i], absl::StrCat(path, "[", i, "]")));
    }
    for (const auto& [key, value] : node.entries) {
      status.Update(RefuseInterpolations(*value, absl::StrCat(path, ".", Printable(key))));
    }
    return status;
  }

  const ConfigFiles& files_;
  ConfigNode config_;  // The merged files, as far as profiles are applied.
};

}  // namespace

absl::StatusOr<ConfigNode> ResolveModel(const std::string& path, const ConfigNode& document) {
  const absl::StatusOr<ConfigFiles> files = ConfigFiles::Load(path, document);
  if (!files.ok()) return files.status();
  return Resolver(*files).Resolve();
}

}  // namespace lossd
