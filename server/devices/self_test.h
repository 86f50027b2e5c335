#ifndef SERVER_DEVICES_SELF_TEST_H_
#define SERVER_DEVICES_SELF_TEST_H_

#include "absl/status/status.h"
#include "server/devices/device.h"

namespace lossd {

// Has a device compute a batch of four voxels whose loss and gradient can be told by hand.
// UNAVAILABLE, with what is wrong alone as its message, when it does not come to that.
absl::Status SelfTest(Device& device);

}  // namespace lossd

#endif  // SERVER_DEVICES_SELF_TEST_H_
