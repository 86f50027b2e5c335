#include "server/observability/recent_calls.h"

#include <cstddef>

namespace lossd {
namespace {

// Of each kind.
constexpr size_t kMostKept = 20;

void Keep(const CallRecord& call, std::deque<CallRecord>& calls) {
  calls.push_front(call);
  if (calls.size() > kMostKept) calls.pop_back();
}

}  // namespace

bool RecentCalls::Note(const CallRecord& call) {
  const bool slow = call.total >= slow_;
  const absl::MutexLock lock(&mutex_);
  if (!call.status.ok()) Keep(call, failed_calls_);
  if (slow) Keep(call, slow_calls_);
  return slow;
}

std::vector<CallRecord> RecentCalls::Slow() const {
  const absl::MutexLock lock(&mutex_);
  return {slow_calls_.begin(), slow_calls_.end()};
}

std::vector<CallRecord> RecentCalls::Failed() const {
  const absl::MutexLock lock(&mutex_);
  return {failed_calls_.begin(), failed_calls_.end()};
}

}  // namespace lossd
