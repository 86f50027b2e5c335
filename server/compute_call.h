#ifndef SERVER_COMPUTE_CALL_H_
#define SERVER_COMPUTE_CALL_H_

#include <grpcpp/support/byte_buffer.h>
#include <grpcpp/support/server_callback.h>

#include <memory>
#include <mutex>
#include <optional>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "server/call.h"
#include "server/client_watch.h"
#include "server/handlers.h"

namespace lossd {

// What calls that compute need of the service. All of it outlives them.
struct ComputeSurroundings {
  CallSurroundings call;
  Handlers& handlers;
  RequestLimits limits;
  // How long a client may send nothing, or take nothing of its answer, and a request or an answer
  // in one message may take on its way.
  absl::Duration receive_timeout;
  ClientWatch& watch;
};

// A call that computes, its messages raw bytes: what those with one message each way and those with
// many have in common. No thread waits for the client.
class ComputeCall : public grpc::ServerBidiReactor<grpc::ByteBuffer, grpc::ByteBuffer>,
                    public ClientWatch::Watched,
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

  // What it waits for.
  enum class Stage {
    kReceiving,  // The client, which is to send.
    kWaiting,    // Memory, to receive more.
    kComputing,  // The server.
    kSending,    // The client, which is to take its answer.
  };

  // Begins to receive, and to be looked after. It lives until gRPC is done with it.
  void Begin();
  // Ends instead.
  void Refuse(const absl::Status& status);

  // What has become of it; see Call.
  virtual void Answer(const absl::Status& status) = 0;
  void End(const absl::Status& status) { Finish(call_.End(status)); }

  // With mutex_ held: no more is received.
  virtual void LeaveReceiving() = 0;

  // With mutex_ held. It has got that far, by something that the client did if it is for the client
  // to go on.
  void Reach(Stage stage) {
    stage_ = stage;
    moved_ = absl::Now();
  }

  // Why the client has not taken all of its answer.
  absl::Status WhyNotSent();

  const ComputeSurroundings surroundings_;
  const grpc::CallbackServerContext& context_;
  Call call_;
  grpc::ByteBuffer incoming_;
  grpc::ByteBuffer outgoing_;
  std::mutex mutex_;
  Stage stage_ = Stage::kReceiving;  // Guarded by mutex_, as is
  absl::Time moved_ = absl::Now();   // when it got so far.

 private:
  void OnCancel() final { call_.Cancel(); }
  void OnDone() final { self_ = nullptr; }

  // Leaves clients that do nothing, on another thread than those that receive and send.
  void LookAfterClient() final;

  // With mutex_ held.
  bool IsClientSilent() const;

  std::shared_ptr<ComputeCall> self_;
  bool given_up_ = false;  // A client that did not take its answer. Guarded by mutex_.
  std::optional<ClientWatch::Entry> watched_;
};

}  // namespace lossd

#endif  // SERVER_COMPUTE_CALL_H_
