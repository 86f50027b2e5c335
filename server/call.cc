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
#include "lossd/wire/stream_layout.h"
#include "lossd/wire/tensor.h"
#include "server/rpc_status.h"

namespace lossd {
namespace {

constexpr size_t kMaxRequestIdBytes = 128;

// What costs at most that, some tenths of a millisecond, is computed where it arrives.
constexpr double kTinyCost = 1e5;

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

absl::Status ToStatus(Executor::Admission admission) {
  switch (admission) {
    case Executor::Admission::kFull:
      return QueueFullError();
    case Executor::Admission::kDraining:
      return DrainingError();
    case Executor::Admission::kAccepted:
      break;
  }
  return absl::OkStatus();
}

// Those of tensors, as they travel.
int64_t BytesOf(const std::vector<v1::Tensor*>& tensors) {
  int64_t bytes = 0;
  for (const v1::Tensor* tensor : tensors) bytes += DataBytes(*tensor).value_or(0);
  return bytes;
}

// Of a checked tensor [B, C, …].
int64_t VoxelsOf(const v1::Tensor& tensor) {
  int64_t voxels = 1;
  for (int i = 0; i < tensor.shape_size(); ++i) voxels *= i == 1 ? 1 : tensor.shape(i);
  return voxels;
}

}  // namespace

Call::Call(const CallSurroundings& surroundings, const grpc::CallbackServerContext& context,
           absl::string_view method, Done done)
    : surroundings_(surroundings),
      context_(context),
      caller_(IdentifyCaller(context, surroundings.secrets.tokens().get())),
      record_(NewRecord(method)),
      open_(surroundings.open_calls,
            {.id = record_.id, .client = record_.client, .method = method, .start = record_.start}),
      done_(std::move(done)),
      cancellation_(absl::FromChrono(context.deadline()), &surroundings.shutdown) {}

CallRecord Call::NewRecord(absl::string_view method) const {
  CallRecord record;
  record.id = NewRequestId();
  record.client = caller_.identity;
  record.method = method;
  record.start = absl::Now();
  return record;
}

void Call::Describe(v1::ComputeRequest& request) {
  const bool shared = request.has_gradients_into();
  record_.transport = record_.method == "ComputeStream" ? "stream" : shared ? "shm" : "unary";
  record_.bytes_received = BytesOf(StreamTensors(request));
  for (const v1::NamedTensor& prediction : request.predictions()) {
    record_.voxels += VoxelsOf(prediction.tensor());
  }
}

absl::Status Call::Outlook() const {
  if (!caller_.let_in.ok()) return caller_.let_in;
  return ToStatus(surroundings_.executor.Outlook());
}

absl::Status Call::Admit(const std::string& id) {
  if (absl::Status checked = CheckRequestId(id); !checked.ok()) return checked;
  if (!id.empty()) {
    record_.id = id;
    open_.Rename(id);
  }
  Executor::Admission admission = Executor::Admission::kAccepted;
  if (caller_.let_in.ok()) admission = surroundings_.executor.Admit(place_);
  WriteLog(spdlog::level::debug, "received");
  return caller_.let_in.ok() ? ToStatus(admission) : caller_.let_in;
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
  ready_ = absl::Now();
  if (const std::optional<absl::Status> computed = WorkAtOnce(handler)) return done_(*computed);
  absl::Status status;
  {
    const std::lock_guard lock(mutex_);
    // Who cancelled before this found no job to withdraw.
    status = cancellation_.status();
    if (status.ok()) {
      surroundings_.executor.Submit(
          std::move(place_), {.client = caller_.identity, .cost = demand_.cost},
          [this, handler = std::move(handler)]() mutable { done_(Work(handler)); }, &ticket_);
    }
  }
  if (!status.ok()) done_(status);
}

std::optional<absl::Status> Call::WorkAtOnce(Handler& handler) {
  if (demand_.cost > kTinyCost) return std::nullopt;
  // It ends before the answer is sent, as the client's next call may come while that goes on.
  const Executor::Turn turn = surroundings_.executor.TakeTurn();
  if (turn == nullptr) return std::nullopt;
  return Work(handler);
}

absl::Status Call::Work(Handler& handler) {
  begun_ = absl::Now();
  WriteLog(spdlog::level::debug, "begun");
  absl::Status status = cancellation_.status();
  if (status.ok()) {
    open_.BeginComputing();
    status = handler();
    open_.EndComputing();
  }
  // What it has come to is of no interest if nobody waits for it.
  return cancellation_.Fired() ? cancellation_.status() : status;
}

absl::Status Call::WhyClientIsGone() const {
  const bool late = absl::FromChrono(context_.deadline()) <= absl::Now();
  return late ? absl::DeadlineExceededError("the deadline passed")
              : absl::CancelledError("cancelled by the client");
}

void Call::Cancel() {
  cancellation_.Cancel(WhyClientIsGone());
  open_.GiveUp();
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
  const absl::Time now = absl::Now();
  record_.total = now - record_.start;
  if (status.ok()) record_.send = now - answered_;
  record_.status = status;
  const bool slow = surroundings_.observability.Note(record_);
  const double seconds = absl::ToDoubleSeconds(record_.total);
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
  if (slow) LogStages();
  return ToRpcStatus(status);
}

void Call::LogStages() const {
  WriteLog(spdlog::level::warn, "slow",
           {{"seconds", absl::ToDoubleSeconds(record_.total)},
            {"queue", absl::ToDoubleSeconds(record_.queue)},
            {"receive", absl::ToDoubleSeconds(record_.receive)},
            {"decode", absl::ToDoubleSeconds(record_.decode)},
            {"compute", absl::ToDoubleSeconds(record_.compute)},
            {"encode", absl::ToDoubleSeconds(record_.encode)},
            {"send", absl::ToDoubleSeconds(record_.send)},
            {"voxels", record_.voxels}});
}

void Call::WriteLog(spdlog::level::level_enum level, absl::string_view event,
                    std::initializer_list<LogField> fields) const {
  if (!surroundings_.log.Writes(level)) return;
  std::vector<LogField> all = {{"method", record_.method}};
  all.insert(all.end(), fields);
  all.emplace_back("client", caller_.identity);
  all.emplace_back("peer", context_.peer());
  if (!caller_.traceparent.empty()) all.emplace_back("traceparent", caller_.traceparent);
  surroundings_.log.Write(level, record_.id, event, all);
}

void Call::Sign(v1::ComputeResponse& response) {
  response.set_request_id(record_.id);
  v1::Timings& timings = *response.mutable_timings();
  record_.queue = memory_took_ + (begun_ - ready_);
  timings.set_queue_seconds(absl::ToDoubleSeconds(record_.queue));
  timings.set_total_seconds(absl::ToDoubleSeconds(memory_took_ + (absl::Now() - ready_)));
  record_.receive = absl::Seconds(timings.receive_seconds());
  record_.decode = absl::Seconds(timings.decode_seconds());
  record_.compute = absl::Seconds(timings.compute_seconds());
  record_.encode = absl::Seconds(timings.encode_seconds());
  for (const v1::TermResult& term : response.terms()) {
    record_.functions.push_back(
        {.function = term.function(), .time = absl::Seconds(term.seconds())});
    record_.negative_pairs += term.malis_negative_pairs();
    record_.positive_pairs += term.malis_positive_pairs();
  }
  record_.bytes_sent = BytesOf(StreamTensors(response));
}

}  // namespace lossd
