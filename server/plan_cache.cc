#include "server/plan_cache.h"

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/wire/plan.h"

namespace lossd {
namespace {

// Equal for equal content. Two spellings of one plan may differ, which costs a compilation and no
// more: protobuf writes maps in any order.
std::string Key(const v1::PlanSource& source) { return source.SerializeAsString(); }

}  // namespace

absl::Status CheckPlanSource(const v1::PlanSource& source) {
  if (source.source_case() == v1::PlanSource::SOURCE_NOT_SET) {
    return FieldError("plan", "nothing", "a plan, typed or as text");
  }
  const size_t size = source.ByteSizeLong();
  if (size > kMaxPlanBytes) {
    return FieldError("plan", absl::StrCat(size, " bytes"),
                      absl::StrCat("at most ", kMaxPlanBytes));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::shared_ptr<const Orchestrator>> PlanCache::Get(const v1::PlanSource& source) {
  if (const absl::Status checked = CheckPlanSource(source); !checked.ok()) return checked;
  std::string key = Key(source);
  if (auto plan = Find(key)) return plan;
  const PlanDocument document = ReadPlanSource(source);
  if (!document.problems.empty()) return document.problems.front();
  absl::StatusOr<std::unique_ptr<const Orchestrator>> created =
      Orchestrator::Create(document.plan, document.spelling);
  if (!created.ok()) return created.status();
  std::shared_ptr<const Orchestrator> plan = *std::move(created);
  Insert(std::move(key), plan);
  return plan;
}

std::shared_ptr<const Orchestrator> PlanCache::Find(const std::string& key) {
  const std::lock_guard lock(mutex_);
  const auto found = by_key_.find(key);
  ++(found == by_key_.end() ? use_.misses : use_.hits);
  if (found == by_key_.end()) return nullptr;
  entries_.splice(entries_.begin(), entries_, found->second);
  return found->second->second;
}

PlanCache::Use PlanCache::use() const {
  const std::lock_guard lock(mutex_);
  Use use = use_;
  use.plans = static_cast<int64_t>(entries_.size());
  return use;
}

void PlanCache::Insert(std::string key, std::shared_ptr<const Orchestrator> plan) {
  const std::lock_guard lock(mutex_);
  if (by_key_.contains(key)) return;  // Another request was faster.
  entries_.emplace_front(key, std::move(plan));
  by_key_.emplace(std::move(key), entries_.begin());
  if (entries_.size() > capacity_) {
    by_key_.erase(entries_.back().first);
    entries_.pop_back();
  }
}

}  // namespace lossd
