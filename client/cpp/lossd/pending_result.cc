#include "lossd/pending_result.h"

#include <utility>

#include "lossd/pending_work.h"

namespace lossd {

PendingResult::PendingResult(std::shared_ptr<PendingWork> work) : work_(std::move(work)) {}

PendingResult::PendingResult(PendingResult&& other) noexcept = default;

PendingResult& PendingResult::operator=(PendingResult&& other) noexcept {
  if (this != &other) {
    LetGo();
    work_ = std::move(other.work_);
  }
  return *this;
}

PendingResult::~PendingResult() { LetGo(); }

bool PendingResult::Wait(absl::Duration timeout) const {
  return !work_->process().IsThis() || work_->Wait(timeout);
}

absl::StatusOr<Result> PendingResult::Get() const {
  if (absl::Status usable = work_->process().Check("the call"); !usable.ok()) return usable;
  return work_->Get();
}

void PendingResult::Cancel() {
  if (work_->process().IsThis()) work_->Cancel();
}

void PendingResult::LetGo() {
  if (work_ == nullptr) return;
  if (!work_->process().IsThis()) Process::Keep(work_);
  work_ = nullptr;
}

}  // namespace lossd
