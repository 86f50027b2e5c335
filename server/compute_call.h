#ifndef SERVER_COMPUTE_CALL_H_
#define SERVER_COMPUTE_CALL_H_

#include <grpcpp/alarm.h>
#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <mutex>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/call.h"
#include "server/handlers.h"

namespace lossd {

// What calls that compute need of the service. All of it outlives them.
struct ComputeSurroundings {
  CallSurroundings call;
  Handlers& handlers;
  RequestLimits limits;
  // How long a client may send nothing, and a request in one message may take to arrive.
  absl::Duration receive_timeout;
};

// A call that computes, its messages raw bytes: what those with one message each way and those with
// many have in common. No thread waits for the client.
class ComputeCall : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                    public std::enable_shared_from_this<ComputeCall> {
 protected:
  // `method` is a literal.
  ComputeCall(const ComputeSurroundings& surroundings, const grpc::CallbackServerContext& context,
              absl::string_view method)
      : surroundings_(surroundings),
        context_(context),
        call_(surroundings_.call, context, method,
              [this](const absl::Status& status) { Answer(status); }) {}
  ~ComputeCall() override = default;

  // Begins to receive, and to be looked after at that time. It lives until gRPC is done with it.
  void Begin(absl::Time look) {
    self_ = shared_from_this();
    const std::lock_guard lock(mutex_);
    LookAgain(look);
    StartRead(&incoming_);
  }

  // What has become of it; see Call.
  virtual void Answer(const absl::Status& status) = 0;
  void End(const absl::Status& status) { Finish(call_.End(status)); }

  // Called when it was to be looked after, by another thread than the one that receives.
  virtual void LookAfterClient() = 0;

  // With mutex_ held.
  void LookAgain(absl::Time time) {
    watch_.emplace().Set(absl::ToChronoTime(time), [call = weak_from_this()](bool expired) {
      if (!expired) return;
      if (const std::shared_ptr<ComputeCall> alive = call.lock()) alive->LookAfterClient();
    });
  }
  void StopReceiving() {
    receiving_ = false;
    watch_.reset();
  }

  const ComputeSurroundings surroundings_;
  const grpc::CallbackServerContext& context_;
  Call call_;
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;
  std::mutex mutex_;
  bool receiving_ = true;  // Guarded by mutex_.

 private:
  void OnCancel() final { call_.Cancel(); }
  void OnDone() final { self_ = nullptr; }

  std::shared_ptr<ComputeCall> self_;
  std::optional<grpc::Alarm> watch_;  // Guarded by mutex_.
};

}  // namespace lossd

#endif  // SERVER_COMPUTE_CALL_H_
