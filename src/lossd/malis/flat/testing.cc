#include "lossd/malis/flat/testing.h"

#include <algorithm>
#include <cstdlib>

#include "lossd/base/context.h"
#include "lossd/base/task_pool.h"
#include "lossd/base/workspace.h"
#include "lossd/malis/flat/host_loops.h"
#include "lossd/malis/flat/malis.h"

namespace lossd::flat {
namespace {

class HostRunner final : public Runner {
 public:
  HostRunner(int threads, int64_t grain) : pool_(threads), grain_(grain) {}

  Result<uint64_t> CountsOf(const OwnedBatch& batch, MalisPass pass) override {
    return Run<uint64_t>(batch, [&](HostLoops& loops, uint64_t* counts) {
      return Counts(loops, batch.OnHost(), pass, counts);
    });
  }

  Result<float> WeightsOf(const OwnedBatch& batch) override {
    std::vector<uint64_t> pairs(2, 7);
    Result<float> result = Run<float>(batch, [&](HostLoops& loops, float* weights) {
      return Weights(loops, batch.OnHost(), weights, pairs.data());
    });
    result.pairs = pairs;
    return result;
  }

 private:
  template <typename T, typename Compute>
  Result<T> Run(const OwnedBatch& batch, const Compute& compute) {
    WorkspaceMemory arrays(workspace_);
    MeasuredMemory memory(arrays);
    HostLoops loops(pool_, memory, grain_);
    // What is not overwritten shows.
    Result<T> result = {
        .nan = {}, .values = std::vector<T>(batch.affinity.size(), 7), .scratch_bytes = 0};
    result.nan = compute(loops, result.values.data());
    result.scratch_bytes = memory.peak();
    return result;
  }

  TaskPool pool_;
  Workspace workspace_;
  int64_t grain_;
};

}  // namespace

std::vector<std::string> Places() {
  const char* const device = std::getenv("LOSSD_TEST_DEVICE");
  if (device != nullptr) return {device};
  return {"1_thread", "4_threads"};
}

std::unique_ptr<Runner> MakeRunner(const std::string& place, int64_t grain, std::string& why_not) {
  if (place == "1_thread") return std::make_unique<HostRunner>(1, grain);
  if (place == "4_threads") return std::make_unique<HostRunner>(4, grain);
  return MakeDeviceRunner(place, why_not);
}

std::string NameOf(const std::string& place) {
  std::string name = place;
  std::replace(name.begin(), name.end(), ':', '_');
  return name;
}

}  // namespace lossd::flat
