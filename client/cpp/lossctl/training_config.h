#ifndef LOSSCTL_TRAINING_CONFIG_H_
#define LOSSCTL_TRAINING_CONFIG_H_

#include <string>

#include "absl/status/statusor.h"
#include "lossctl/config_tree.h"

namespace lossd {

// The `model` section with which PyTorch Connectomics trains, out of a config as people write it:
//  1. base files are merged, see config_files.h;
//  2. profiles are put where they are named: default.pipeline_profile, then model.arch.profile and
//     model.loss.profile of the stages `default` and `train`, under what the config itself says
//     there; `model.loss.overrides` patches single terms of a profile by their index;
//  3. the stages are merged: the root's `model` is overridden by default.model, that by
//  train.model.
// What remains is a mapping of `loss`, `heads` and `primary_head`, those that there are.
//
// Errors are FieldErrors about the file and key at fault, also where there are no losses at all and
// where an interpolation would need OmegaConf.
absl::StatusOr<ConfigNode> ResolveModel(const std::string& path, const ConfigNode& document);

}  // namespace lossd

#endif  // LOSSCTL_TRAINING_CONFIG_H_
