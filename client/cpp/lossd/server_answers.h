#ifndef LOSSD_SERVER_ANSWERS_H_
#define LOSSD_SERVER_ANSWERS_H_

#include <vector>

#include "lossd/server_info.h"
#include "lossd/v1/service.pb.h"

namespace lossd {

// A server's answers about itself, its losses, and plans, without their messages.

ServerInfo ReadServerInfo(const v1::GetServerInfoResponse& message);
std::vector<LossDescription> ReadLosses(const v1::ListLossesResponse& message);
PlanCheck ReadPlanCheck(const v1::ValidatePlanResponse& message);

}  // namespace lossd

#endif  // LOSSD_SERVER_ANSWERS_H_
