#include "lossd/base/context.h"

namespace lossd {

void Context::ParallelFor(int64_t count, int64_t grain,
                          const std::function<void(int64_t, int64_t)>& body) const {
  if (group_ == nullptr) return pool_->ParallelFor(count, grain, body);
  group_->ParallelFor(count, grain, [&](int64_t begin, int64_t end) {
    if (!cancellation_->Fired()) body(begin, end);
  });
}

void Context::ForEach(int64_t count, const std::function<void(int64_t i)>& body) const {
  if (!on_gpu_) {
    ParallelFor(count, 1, [&](int64_t i, int64_t /*end*/) { body(i); });
    return;
  }
  for (int64_t i = 0; i < count && !Cancelled(); ++i) body(i);
}

void Context::Rest(const std::function<void()>& wait) const {
  if (group_ == nullptr) return wait();
  group_->Rest(wait);
}

}  // namespace lossd
