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

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "lossd/compute/batch.h"
#include "lossd/result.h"
#include "lossd/server_info.h"

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

  Client(Client&& other) noexcept;
  Client& operator=(Client&& other) noexcept;
  ~Client();

  // The losses of `plan`, in YAML or JSON (docs/plans.md), on a batch, and gradients unless
  // batch.losses_only. Tensors may have any layout and lie on any device; they are sent in their
  // own dtype, large labels, masks and segmentations in the shortest encoding of lossd.v1.Encoding
  // that gives the same. Others that are contiguous and on the CPU are sent from where they lie,
  // and must not be written to until this returns, nor for some time after it has returned an
  // error: gRPC may still hold them. Labels, masks and segmentations that require a gradient where
  // gradients are wanted are refused: there are none but those of predictions. `request_id`, if
  // given, identifies the call in the server's log.
  absl::StatusOr<Result> Compute(absl::string_view plan, const Batch& batch,
                                 absl::string_view request_id = "") const;

  // What is wrong with a plan, or what it means.
  absl::StatusOr<PlanCheck> ValidatePlan(absl::string_view plan) const;

  // The losses the server computes, in alphabetical order, and their options.
  absl::StatusOr<std::vector<LossDescription>> ListLosses() const;

  // Version, devices and limits of the server.
  absl::StatusOr<ServerInfo> GetServerInfo() const;

 private:
  class Impl;

  explicit Client(std::unique_ptr<Impl> impl);

  std::unique_ptr<Impl> impl_;
};

}  // namespace lossd

#endif  // LOSSD_CLIENT_H_
