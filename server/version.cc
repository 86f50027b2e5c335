#include "server/version.h"

#include <torch/version.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "commit.h"
#include "lossd/base/instruction_sets.h"

namespace lossd {

std::string VersionInWords() {
#ifdef LOSSD_WITH_CUDA
  constexpr char kCuda[] = "with CUDA";
#else
  constexpr char kCuda[] = "without CUDA";
#endif
  return absl::StrCat(LOSSD_VERSION, " (commit ", LOSSD_COMMIT, ", LibTorch ", TORCH_VERSION, ", ",
                      Word(CurrentInstructionSet()), ", ", kCuda, ")");
}

}  // namespace lossd
