#ifndef SERVER_PLAN_CACHE_H_
#define SERVER_PLAN_CACHE_H_

#include <cstddef>
#include <cstdint>
#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "lossd/compute/orchestrator.h"
#include "lossd/v1/plan.pb.h"

namespace lossd {

// Largest plan accepted, in bytes. Real ones have some hundreds.
inline constexpr size_t kMaxPlanBytes = size_t{1} << 18;

// Whether there is a plan, and one of a reasonable size. The error is about "plan".
absl::Status CheckPlanSource(const v1::PlanSource& source);

// Compiled plans by content, the least recently used forgotten first. Thread-safe.
class PlanCache {
 public:
  // Keeps at most `capacity` >= 1 plans.
  explicit PlanCache(size_t capacity) : capacity_(capacity) {}

  // The plan, compiled now if it is not known. Errors are about "plan" as a whole or about one of
  // its fields ("losses[1].pos_weight"); they are not kept.
  absl::StatusOr<std::shared_ptr<const Orchestrator>> Get(const v1::PlanSource& source);

  // How many plans are kept, and how often one was known and was not.
  struct Use {
    int64_t plans = 0;
    int64_t hits = 0;
    int64_t misses = 0;
  };
  Use use() const;

 private:
  using Entry = std::pair<std::string, std::shared_ptr<const Orchestrator>>;

  std::shared_ptr<const Orchestrator> Find(const std::string& key);
  void Insert(std::string key, std::shared_ptr<const Orchestrator> plan);

  const size_t capacity_;
  mutable std::mutex mutex_;
  std::list<Entry> entries_;  // Most recently used first.
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
  Use use_;
};

}  // namespace lossd

#endif  // SERVER_PLAN_CACHE_H_
