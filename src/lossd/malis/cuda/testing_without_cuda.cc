#include "lossd/malis/flat/testing.h"

namespace lossd::flat {

std::unique_ptr<Runner> MakeDeviceRunner(const std::string& /*device*/, std::string& why_not) {
  why_not = "built without CUDA";
  return nullptr;
}

}  // namespace lossd::flat
