#ifndef SERVER_DEMAND_H_
#define SERVER_DEMAND_H_

#include <cstdint>

namespace lossd {

// What a call takes of a server, told from shapes, before it is taken.
struct Demand {
  int64_t bytes = 0;         // Of memory at most, besides its message, until it is answered;
  int64_t answer_bytes = 0;  // those of them that are left when it is computed.
  double cost = 0;           // Of computing, see ComputeCost.
};

}  // namespace lossd

#endif  // SERVER_DEMAND_H_
