#ifndef SERVER_LOSS_CATALOG_H_
#define SERVER_LOSS_CATALOG_H_

#include "lossd/v1/service.pb.h"

namespace lossd {

// Every loss of the registry with its options, which are read off options.proto.
v1::ListLossesResponse LossCatalog();

}  // namespace lossd

#endif  // SERVER_LOSS_CATALOG_H_
