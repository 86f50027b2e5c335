#ifndef LOSSCTL_PLAN_FILE_H_
#define LOSSCTL_PLAN_FILE_H_

#include <string>

#include "absl/status/statusor.h"

namespace lossd {

// The plan in a file, as text for a server. A training config of PyTorch Connectomics with base
// files or stages is resolved, see training_config.h; anything else is given byte for byte, so that
// the server's errors fit its lines. Errors name the file.
absl::StatusOr<std::string> ReadPlanFile(const std::string& path);

}  // namespace lossd

#endif  // LOSSCTL_PLAN_FILE_H_
