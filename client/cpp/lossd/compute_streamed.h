#ifndef LOSSD_COMPUTE_STREAMED_H_
#define LOSSD_COMPUTE_STREAMED_H_

#include <memory>

#include "lossd/delivery.h"
#include "lossd/messages.h"

namespace lossd {

// A batch in pieces, by ComputeStream. The tensors are sent from where they lie, and the server's
// status is that of an attempt also when it had its say before everything was sent.
std::unique_ptr<Delivery> DeliverStreamed(std::shared_ptr<const OutgoingRequest> request);

}  // namespace lossd

#endif  // LOSSD_COMPUTE_STREAMED_H_
