#ifndef LOSSD_CLIENT_H_
#define LOSSD_CLIENT_H_

// The C++ SDK of lossd: losses and their gradients, computed by a server, on at::Tensor.
//
//   absl::StatusOr<lossd::Client> client = lossd::Client::Connect("localhost:50051");
//   lossd::Batch batch;
//   batch.predictions = {{"output", network->forward(image)}};
//   batch.labels = labels;
//   absl::StatusOr<lossd::Result> result = client->Compute(plan_yaml, batch);
//   batch.predictions[0].tensor.backward(result->gradients[0].tensor);

#include <grpcpp/channel.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lossd/compute/batch.h"
#include "lossd/v1/service.grpc.pb.h"

namespace lossd {

// How a batch travels.
enum class Transport {
  kAuto,    // What suits its size best.
  kUnary,   // In one message each way, of at most 2 GiB.
  kStream,  // In pieces.
};

struct ClientOptions {
  // How long Connect waits for the server.
  absl::Duration connect_timeout = absl::Seconds(10);
  // Bound on every call, repetitions included. DEADLINE_EXCEEDED when it passes.
  absl::Duration timeout = absl::InfiniteDuration();
  // How often a call is repeated that found the server unavailable or its queue full. Computing is
  // pure, so nothing happens twice.
  int retries = 6;
  // The pause before the first repetition; it doubles with each, up to longest_pause. The server
  // may ask for more.
  absl::Duration first_pause = absl::Milliseconds(100);
  absl::Duration longest_pause = absl::Seconds(2);
  Transport transport = Transport::kAuto;
};

// Where the time of a call went.
struct CallTimings {
  absl::Duration queue;       // In the server: waiting for a worker,
  absl::Duration decode;      // reading tensors and plan,
  absl::Duration compute;     // computing,
  absl::Duration encode;      // writing tensors;
  absl::Duration total;       // all of it, from the arrival of the whole request.
  absl::Duration round_trip;  // At the client, repetitions included.
};

// What a server computed: losses, logs, terms, and the gradient of the total for each prediction,
// in the order, shape and (but for batch.float32_gradients) dtype of its predictions, on the CPU.
struct Result : Outcome {
  // Identifies the call in the server's log.
  std::string request_id;
  // The seed from which the server drew crop origins; absent when none was drawn.
  std::optional<uint64_t> malis_crop_seed;
  CallTimings timings;
};

// A connection to a server. Thread-safe; cheap to move.
//
// Errors have the server's canonical code. Where a field of plan or batch is at fault, ErrorField
// (lossd/base/error.h) tells which. Every other google.rpc detail is a payload of the status under
// its type URL.
class Client {
 public:
  // Connects to "host:port", or anything gRPC takes as a target ("unix:/run/lossd.sock",
  // "dns:///losses:50051"). UNAVAILABLE when nothing answers there within connect_timeout.
  static absl::StatusOr<Client> Connect(const std::string& target,
                                        const ClientOptions& options = {});

  // The losses of `plan` on a batch, and gradients unless batch.losses_only. Tensors may have any
  // layout and lie on any device; they are sent in their own dtype, large labels, masks and
  // segmentations in the shortest encoding of lossd.v1.Encoding that gives the same. Others that
  // are contiguous and on the CPU are sent from where they lie, and must not be written to until
  // this returns, nor for some time after it has returned an error: gRPC may still hold them.
  // Labels, masks and segmentations that require a gradient where gradients are wanted are refused:
  // there are none but those of predictions. `request_id`, if given, identifies the call in the
  // server's log.
  absl::StatusOr<Result> Compute(const v1::PlanSource& plan, const Batch& batch,
                                 absl::string_view request_id = "") const;

  // The same for a plan in YAML or JSON (docs/plans.md).
  absl::StatusOr<Result> Compute(absl::string_view plan, const Batch& batch,
                                 absl::string_view request_id = "") const;

  // What is wrong with a plan, or what it means.
  absl::StatusOr<v1::ValidatePlanResponse> ValidatePlan(const v1::PlanSource& plan) const;

  // The losses the server computes, and their options.
  absl::StatusOr<v1::ListLossesResponse> ListLosses() const;

  // Version, devices and limits of the server.
  absl::StatusOr<v1::GetServerInfoResponse> GetServerInfo() const;

 private:
  using Stub = v1::LossService::Stub;

  Client(std::shared_ptr<grpc::Channel> channel, const ClientOptions& options)
      : channel_(std::move(channel)),
        stub_(v1::LossService::NewStub(channel_)),
        options_(options) {}

  absl::StatusOr<Result> ComputeUnary(const v1::PlanSource& plan, const Batch& batch,
                                      absl::string_view request_id) const;
  absl::StatusOr<Result> ComputeStream(const v1::PlanSource& plan, const Batch& batch,
                                       absl::string_view request_id) const;

  // Calls `method`, again where that makes sense.
  template <typename Request, typename Response>
  absl::Status Call(grpc::Status (Stub::*method)(grpc::ClientContext*, const Request&, Response*),
                    const Request& request, Response* response) const;

  // Makes an attempt, and further ones where that makes sense; the status of the last.
  absl::Status Repeat(absl::FunctionRef<absl::Status(grpc::ClientContext&)> attempt) const;

  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<Stub> stub_;
  ClientOptions options_;
};

// A plan in YAML or JSON, for the calls that take either form.
v1::PlanSource PlanText(absl::string_view text);

}  // namespace lossd

#endif  // LOSSD_CLIENT_H_
