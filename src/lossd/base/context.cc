#include "lossd/base/context.h"

namespace lossd {

void Context::ParallelFor(int64_t count, int64_t grain,
                          const std::function<void(int64_t, int64_t)>& body) const {
  if (group_ == nullptr) return pool_->ParallelFor(count, grain, body);
  group_->ParallelFor(count, grain, [&](int64_t begin, int64_t end) {
    if (!cancellation_->Fired()) body(begin, end);
  });
}

}  // namespace lossd
