#include "server/call.h"

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "absl/random/random.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "lossd/base/error.h"
#include "server/rpc_status.h"

namespace lossd {
namespace {

constexpr size_t kMaxRequestIdBytes = 128;

std::string NewRequestId() {
  return absl::StrFormat("%016x", absl::Uniform<uint64_t>(absl::BitGen()));
}

absl::Status CheckRequestId(absl::string_view id) {
  if (id.size() > kMaxRequestIdBytes) {
    return FieldError("request_id", absl::StrCat(id.size(), " bytes"),
                      absl::StrCat("at most ", kMaxRequestIdBytes));
  }
  for (const char c : id) {
    if (!absl::ascii_isgraph(static_cast<unsigned char>(c))) {
      return FieldError("request_id", "a character that is not printable ASCII or is a space",
                        "printable ASCII without spaces");
    }
  }
  return absl::OkStatus();
}

}  // namespace

Call::Call(const CallSurroundings& surroundings, const grpc::CallbackServerContext& context,
           absl::string_view method, Done done)
    : surroundings_(surroundings),
      open_(surroundings.open_calls),
      context_(context),
      method_(method),
      caller_(IdentifyCaller(context, surroundings.secrets.tokens().get())),
      done_(std::move(done)),
      id_(NewRequestId()),
      cancellation_(absl::FromChrono(context.deadline()), &surroundings.shutdown) {}

absl::Status Call::Identify(const std::string& id) {
  absl::Status checked = CheckRequestId(id);
  if (checked.ok() && !id.empty()) id_ = id;
  return checked;
}

absl::Status Call::Admit() {
  WriteLog(spdlog::level::debug, "received");
  if (!caller_.let_in.ok()) return caller_.let_in;
  const Executor::Admission admission = surroundings_.executor.Admit(place_);
  if (admission == Executor::Admission::kFull) return QueueFullError();
  if (admission == Executor::Admission::kDraining) return DrainingError();
  return absl::OkStatus();
}

void Call::AwaitMemory(const Demand& demand, absl::AnyInvocable<void()> granted) {
  demand_ = demand;
  granted_ = std::move(granted);
  asked_ = absl::Now();
  const int64_t largest = surroundings_.memory.largest();
  absl::Status status;
  bool there = false;
  if (demand.bytes > largest) status = TooLargeError(demand.bytes, largest);
  if (status.ok()) {
    const std::lock_guard lock(mutex_);
    // Who cancelled before this found nobody to withdraw.
    status = cancellation_.status();
    if (status.ok()) {
      std::optional<MemoryBudget::Reservation> memory = surroundings_.memory.Reserve(
          caller_.identity, demand.bytes,
          [this](MemoryBudget::Reservation reservation) {
            memory_ = std::move(reservation);
            GoOn();
          },
          &memory_ticket_);
      there = memory.has_value();
      if (there) memory_ = *std::move(memory);
    }
  }
  if (!status.ok()) {
    done_(status);
  } else if (there) {
    GoOn();
  }
}

void Call::GoOn() {
  memory_took_ = absl::Now() - asked_;
  // The call may be gone before this returns.
  absl::AnyInvocable<void()> granted = std::move(granted_);
  granted();
}

void Call::Run(Handler handler) {
  absl::Status status;
  {
    const std::lock_guard lock(mutex_);
    ready_ = absl::Now();
    // Who cancelled before this found no job to withdraw.
    status = cancellation_.status();
    if (status.ok()) {
      surroundings_.executor.Submit(
          std::move(place_), {.client = caller_.identity, .cost = demand_.cost},
          [this, handler = std::move(handler)]() mutable { Work(std::move(handler)); }, &ticket_);
    }
  }
  if (!status.ok()) done_(status);
}

void Call::Work(Handler handler) {
  begun_ = absl::Now();
  WriteLog(spdlog::level::debug, "begun");
  absl::Status status = cancellation_.status();
  if (status.ok()) status = handler();
  // What it has come to is of no interest if nobody waits for it.
  if (cancellation_.Fired()) status = cancellation_.status();
  done_(status);
}

absl::Status Call::WhyClientIsGone() const {
  const bool late = absl::FromChrono(context_.deadline()) <= absl::Now();
  return late ? absl::DeadlineExceededError("the deadline passed")
              : absl::CancelledError("cancelled by the client");
}

void Call::Cancel() {
  cancellation_.Cancel(WhyClientIsGone());
  // In a queue it shall take nobody's place; if it is computed, that comes to its end.
  StopWaiting();
}

void Call::StopWaiting() {
  if (!cancellation_.Fired()) return;
  MemoryBudget::Ticket memory_ticket = 0;
  {
    const std::lock_guard lock(mutex_);
    memory_ticket = memory_ticket_;
  }
  // Without the lock, as others may go on that waited behind it.
  bool withdrawn = surroundings_.memory.Withdraw(memory_ticket);
  if (!withdrawn) {
    const std::lock_guard lock(mutex_);
    withdrawn = surroundings_.executor.Withdraw(ticket_);
  }
  if (withdrawn) done_(cancellation_.status());
}

grpc::Status Call::End(const absl::Status& status) {
  // Free before the client hears of it, who may come back at once.
  place_ = nullptr;
  const double seconds = absl::ToDoubleSeconds(absl::Now() - start_);
  if (status.ok()) {
    WriteLog(spdlog::level::info, "done", {{"seconds", seconds}});
  } else {
    const bool given_up = absl::IsCancelled(status) || absl::IsDeadlineExceeded(status);
    const bool ours = absl::IsInternal(status);
    WriteLog(ours ? spdlog::level::err : spdlog::level::warn, given_up ? "cancelled" : "failed",
             {{"code", absl::StatusCodeToString(status.code())},
              {"error", status.message()},
              {"seconds", seconds}});
  }
  return ToRpcStatus(status);
}

void Call::WriteLog(spdlog::level::level_enum level, absl::string_view event,
                    std::initializer_list<LogField> fields) const {
  std::vector<LogField> all = {{"method", method_}};
  all.insert(all.end(), fields);
  all.emplace_back("client", caller_.identity);
  all.emplace_back("peer", context_.peer());
  if (!caller_.traceparent.empty()) all.emplace_back("traceparent", caller_.traceparent);
  surroundings_.log.Write(level, id_, event, all);
}

void Call::Sign(v1::ComputeResponse& response) const {
  response.set_request_id(id_);
  v1::Timings* timings = response.mutable_timings();
  timings->set_queue_seconds(absl::ToDoubleSeconds(memory_took_ + (begun_ - ready_)));
  timings->set_total_seconds(absl::ToDoubleSeconds(memory_took_ + (absl::Now() - ready_)));
}

}  // namespace lossd
