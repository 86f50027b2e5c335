#include "lossd/malis/flat/host_loops.h"

#include <gtest/gtest.h>

#include "lossd/base/cancellation.h"
#include "lossd/base/context.h"
#include "lossd/base/task_pool.h"
#include "lossd/base/workspace.h"
#include "lossd/malis/flat/loops_checks.h"

namespace lossd::flat {
namespace {

// On threads that meet: tasks are small.
class HostLoopsTest : public testing::TestWithParam<int> {
 protected:
  static constexpr int64_t kGrain = 50;

  TaskPool pool_{GetParam()};
  Workspace workspace_;
  WorkspaceMemory memory_{workspace_};
  HostLoops loops_{pool_, memory_, kGrain};
};

INSTANTIATE_TEST_SUITE_P(Threads, HostLoopsTest, testing::Values(1, 4));

TEST_P(HostLoopsTest, For) { CheckFor(loops_); }
TEST_P(HostLoopsTest, Atomics) { CheckAtomics(loops_); }
TEST_P(HostLoopsTest, Forest) { CheckForest(loops_); }
TEST_P(HostLoopsTest, Flatten) { CheckFlatten(loops_); }
TEST_P(HostLoopsTest, Scan) { CheckScan(loops_); }
TEST_P(HostLoopsTest, Select) { CheckSelect(loops_); }
TEST_P(HostLoopsTest, Sorts) { CheckSorts(loops_); }

TEST_P(HostLoopsTest, Stopped) {
  TaskGroup group(pool_);
  Cancellation cancellation;
  cancellation.Cancel(absl::CancelledError("by the test"));
  HostLoops stopped(Context(group, cancellation), memory_, kGrain);
  CheckStopped(stopped, loops_);
}

}  // namespace
}  // namespace lossd::flat
