#include <gtest/gtest.h>

#include "lossd/malis/cuda/device_loops.cuh"
#include "lossd/malis/cuda/testing.h"
#include "lossd/malis/flat/loops_checks.h"

namespace lossd::flat {
namespace {

class DeviceLoopsTest : public testing::Test {
 protected:
  void SetUp() override {
    if (DeviceCount() == 0) GTEST_SKIP() << "no GPU";
  }

  StreamMemory memory_{nullptr};
  const PinnedMemory landing_{kLandingBytes};
  Device device_{.stream = nullptr, .landing = landing_.data(), .memory = memory_, .cancelled = {}};
  DeviceLoops loops_{device_};
};

TEST_F(DeviceLoopsTest, For) { CheckFor(loops_); }
TEST_F(DeviceLoopsTest, Atomics) { CheckAtomics(loops_); }
TEST_F(DeviceLoopsTest, Forest) { CheckForest(loops_); }
TEST_F(DeviceLoopsTest, Flatten) { CheckFlatten(loops_); }
TEST_F(DeviceLoopsTest, Scan) { CheckScan(loops_); }
TEST_F(DeviceLoopsTest, Select) { CheckSelect(loops_); }
TEST_F(DeviceLoopsTest, Sorts) { CheckSorts(loops_); }

TEST_F(DeviceLoopsTest, Stopped) {
  const Device cancelled = {
      .stream = nullptr, .landing = landing_.data(), .memory = memory_, .cancelled = [] {
        return true;
      }};
  DeviceLoops stopped(cancelled);
  CheckStopped(stopped, loops_);
}

}  // namespace
}  // namespace lossd::flat
