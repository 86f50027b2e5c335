#ifndef LOSSD_WIRE_LOSS_CATALOG_H_
#define LOSSD_WIRE_LOSS_CATALOG_H_

#include "lossd/v1/service.pb.h"

namespace lossd {

// Every loss of the list with its options.
v1::ListLossesResponse LossCatalog();

}  // namespace lossd

#endif  // LOSSD_WIRE_LOSS_CATALOG_H_
