#ifndef SERVER_SERVICE_MANAGER_H_
#define SERVER_SERVICE_MANAGER_H_

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace lossd {

// Tells systemd, or whoever else started the process and gave it NOTIFY_SOCKET (sd_notify(3)), how
// it is: "READY=1", "STOPPING=1", "WATCHDOG=1". Where nobody asked, it does nothing and is ok.
// Never waits.
absl::Status NotifyServiceManager(absl::string_view state);

}  // namespace lossd

#endif  // SERVER_SERVICE_MANAGER_H_
