#ifndef SERVER_CALL_H_
#define SERVER_CALL_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/status.h>

#include <mutex>
#include <optional>
#include <string>

#include "absl/functional/any_invocable.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lossd/base/cancellation.h"
#include "lossd/v1/service.pb.h"
#include "server/demand.h"
#include "server/executor.h"
#include "server/log.h"
#include "server/memory_budget.h"
#include "server/observability/call_record.h"
#include "server/observability/observability.h"
#include "server/open_calls.h"
#include "server/security/caller.h"
#include "server/security/secrets.h"

namespace lossd {

// What all calls of a server go through. All of it outlives them.
struct CallSurroundings {
  Log& log;
  const Secrets& secrets;
  Executor& executor;
  MemoryBudget& memory;
  OpenCalls& open_calls;
  Observability& observability;
  const Cancellation& shutdown;  // Above those of all calls.
};

// One call on its way through the server, however its messages come and go: its id, its lines in
// the log, whether anybody waits for it, its place, its memory, its turn. Part of a reactor, which
// tells it when gRPC cancels.
class Call {
 public:
  using Handler = absl::AnyInvocable<absl::Status()>;
  using Done = absl::AnyInvocable<void(const absl::Status&)>;

  // `method` is a literal. `done` is called once after AwaitMemory, with what became of the call,
  // on any thread, unless the reactor ends it between that and Run; nothing may be done with the
  // call after.
  Call(const CallSurroundings& surroundings, const grpc::CallbackServerContext& context,
       absl::string_view method, Done done);

  // Notes what the request brings, for those who run the server.
  void Describe(v1::ComputeRequest& request);

  // Whether it would be admitted now; if not, why, as Admit says it: what is refused anyway need
  // not be received.
  absl::Status Outlook() const;

  // Names the call as the client does, unless that is empty, and takes a place in the executor. A
  // FieldError about "request_id" unless it may stand in a log; UNAUTHENTICATED where the caller is
  // not let in, RESOURCE_EXHAUSTED with RetryInfo when there is no place, and UNAVAILABLE while the
  // server drains.
  absl::Status Admit(const std::string& id);

  // Calls `granted`, at once or later and then on any thread, when the memory that the call demands
  // is there for it, which may be when the client is gone. Needs to be admitted. Ends with
  // RESOURCE_EXHAUSTED where the server never has that much.
  void AwaitMemory(const Demand& demand, absl::AnyInvocable<void()> granted);

  // Runs `handler` on the executor once its turn has come, or at once a tiny call on an idle
  // server, unless nobody waits for it any more by then. Needs memory. All of the request is there.
  void Run(Handler handler);

  // What it takes until its answer is sent is there, the rest is free for others.
  void ReleaseAllButAnswer() {
    memory_.ReduceTo(demand_.answer_bytes);
    answered_ = absl::Now();
  }

  // The client is gone, or does not wait any longer.
  void Cancel();

  // Ends a call that waits for memory or its turn, if nobody waits for it any more.
  void StopWaiting();

  // What has become of a call whose client is gone: its deadline passed, or it was cancelled.
  absl::Status WhyClientIsGone() const;

  // Logs how the call has ended, and gives up its place; what gRPC is to be told.
  grpc::Status End(const absl::Status& status);

  // Writes the id, and the timings of the queue and in total, into an answer, which has all others.
  void Sign(v1::ComputeResponse& response);

  const Cancellation& cancellation() const { return cancellation_; }

 private:
  // Of what is known at the beginning.
  CallRecord NewRecord(absl::string_view method) const;

  // A line about this call, with who makes it.
  void WriteLog(spdlog::level::level_enum level, absl::string_view event,
                std::initializer_list<LogField> fields = {}) const;

  // A line that says where a slow call's time went.
  void LogStages() const;

  // Has its memory.
  void GoOn();

  // The job if it is tiny and the server idle.
  std::optional<absl::Status> WorkAtOnce(Handler& handler);

  // The job. What it has come to.
  absl::Status Work(Handler& handler);

  const CallSurroundings surroundings_;
  const grpc::CallbackServerContext& context_;
  const Caller caller_;
  CallRecord record_;
  OpenCalls::Entry open_;
  Done done_;
  Demand demand_;
  absl::AnyInvocable<void()> granted_;
  absl::Time asked_;            // When it asked for memory,
  absl::Duration memory_took_;  // and how long it waited for it;
  absl::Time ready_;            // when all of the request was there,
  absl::Time begun_;            // when its turn came, and
  absl::Time answered_;         // when the answer was.
  Cancellation cancellation_;
  std::mutex mutex_;
  Executor::Place place_;
  MemoryBudget::Reservation memory_;
  MemoryBudget::Ticket memory_ticket_ = 0;  // Guarded by mutex_; none is 0.
  Executor::Ticket ticket_ = 0;             // Likewise.
};

}  // namespace lossd

#endif  // SERVER_CALL_H_
