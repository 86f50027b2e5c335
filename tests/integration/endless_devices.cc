// In place of server/devices/open_devices.cc in a server of tests: a device that never ends what is
// of the stage "endless", whoever waits for it, and computes everything else.

#include <memory>
#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "server/devices/devices.h"

namespace lossd {

// Has a name of its own in stacks.
ABSL_ATTRIBUTE_NOINLINE void NeverEnd() {
  for (;;) absl::SleepFor(absl::Seconds(1));
}

namespace {

class Endless final : public Device {
 public:
  Endless()
      : Device({.name = "endless", .description = "", .architecture = "", .memory_bytes = 0}) {}

  absl::StatusOr<Outcome> Compute(const Orchestrator& plan, const Schedule& schedule,
                                  const Batch& batch, const Context& context) override {
    if (batch.stage == "endless") NeverEnd();
    return plan.Compute(schedule, batch, context);
  }
  bool Works() override { return true; }
  void GiveBackMemory() override {}
};

}  // namespace

std::vector<std::unique_ptr<Device>> OnlyTheHost() {
  std::vector<std::unique_ptr<Device>> devices;
  devices.push_back(std::make_unique<Endless>());
  return devices;
}

absl::StatusOr<std::vector<std::unique_ptr<Device>>> OpenDevices(const std::string& /*names*/) {
  return OnlyTheHost();
}

}  // namespace lossd
