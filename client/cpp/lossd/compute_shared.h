#ifndef LOSSD_COMPUTE_SHARED_H_
#define LOSSD_COMPUTE_SHARED_H_

#include <memory>

#include "lossd/delivery.h"
#include "lossd/messages.h"

namespace lossd {

// A batch in memory that is shared with the server, by Compute. Where that cannot be, it is
// FAILED_PRECONDITION if it is `required`, and else the batch is streamed.
std::unique_ptr<Delivery> DeliverShared(std::shared_ptr<const OutgoingRequest> request,
                                        bool required);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_SHARED_H_
