#include <algorithm>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "lossd/base/error.h"
#include "lossd/base/instruction_sets.h"
#include "server/devices/devices.h"
#include "server/devices/gpu.h"
#include "server/devices/self_test.h"

namespace lossd {
namespace {

class Host final : public Device {
 public:
  Host()
      : Device({.name = "cpu",
                .description = "",
                .architecture = Word(CurrentInstructionSet()),
                .memory_bytes = 0}) {}

  absl::StatusOr<Outcome> Compute(const Orchestrator& plan, const Schedule& schedule,
                                  const Batch& batch, const Context& context) override {
    return plan.Compute(schedule, batch, context);
  }
  bool Works() override { return true; }
  void GiveBackMemory() override {}
};

// A GPU that has passed its test.
absl::StatusOr<std::unique_ptr<Device>> OpenTested(int number) {
  absl::StatusOr<std::unique_ptr<Device>> gpu = OpenGpu(number);
  if (!gpu.ok()) return gpu;
  if (absl::Status tested = SelfTest(**gpu); !tested.ok()) return tested;
  return gpu;
}

absl::StatusOr<std::vector<std::unique_ptr<Device>>> OpenHost() {
  std::vector<std::unique_ptr<Device>> devices = OnlyTheHost();
  if (absl::Status tested = SelfTest(*devices.front()); !tested.ok()) {
    return FieldError("devices", absl::StrCat("cpu, but ", tested.message()),
                      "one that computes losses");
  }
  return devices;
}

// Every GPU that can be used, or else the host.
absl::StatusOr<std::vector<std::unique_ptr<Device>>> AllThereAre() {
  std::vector<std::unique_ptr<Device>> devices;
  for (int i = 0; i < CountGpus(); ++i) {
    if (auto gpu = OpenTested(i); gpu.ok()) devices.push_back(*std::move(gpu));
  }
  if (devices.empty()) return OpenHost();
  return devices;
}

}  // namespace

std::vector<std::unique_ptr<Device>> OnlyTheHost() {
  std::vector<std::unique_ptr<Device>> devices;
  devices.push_back(std::make_unique<Host>());
  return devices;
}

absl::StatusOr<std::vector<std::unique_ptr<Device>>> OpenDevices(const std::string& names) {
  constexpr char kExpected[] = "auto, cpu, or GPUs as cuda:0,cuda:1";
  if (names == "auto") return AllThereAre();
  if (names == "cpu") return OpenHost();
  std::vector<std::unique_ptr<Device>> devices;
  std::vector<int> numbers;
  for (absl::string_view name : absl::StrSplit(names, ',')) {
    int number = 0;
    const bool good = absl::ConsumePrefix(&name, "cuda:") && absl::SimpleAtoi(name, &number) &&
                      number >= 0 && name == absl::StrCat(number);
    if (!good) return FieldError("devices", names, kExpected);
    if (std::find(numbers.begin(), numbers.end(), number) != numbers.end()) {
      return FieldError("devices", absl::StrCat("cuda:", number, " twice"), "each once");
    }
    numbers.push_back(number);
    absl::StatusOr<std::unique_ptr<Device>> gpu = OpenTested(number);
    if (!gpu.ok()) {
      return FieldError("devices", absl::StrCat("cuda:", number, ", but ", gpu.status().message()),
                        kExpected);
    }
    devices.push_back(*std::move(gpu));
  }
  return devices;
}

}  // namespace lossd
