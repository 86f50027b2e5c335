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
#include "lossd/base/error.h"  // IWYU pragma: export
#include "lossd/client_options.h"
#include "lossd/compute/batch.h"
#include "lossd/pending_result.h"
#include "lossd/result.h"
#include "lossd/server_info.h"

namespace lossd {

class ClientCalls;

// A connection to a server, or to several. Thread-safe; cheap to move, and of no use when moved
// from. When it goes, what it has under way is given up: the results of pending calls are
// CANCELLED.
//
// Errors have the server's canonical code. Where a field of plan or batch is at fault, ErrorField
// (lossd/base/error.h) tells which, and ErrorReason tells errors of one code apart ("QUEUE_FULL").
// Every other google.rpc detail is a payload of the status under its type URL.
//
// A call that finds no server, one that stops, or a full queue is made again, see
// ClientOptions::retry_timeout. In a process forked from the one that connected, every call is
// FAILED_PRECONDITION.
class Client {
 public:
  // Connects to "host:port", or anything gRPC takes as a target ("unix:/run/lossd.sock",
  // "dns:///losses:50051", "ipv4:10.0.0.1:50051,10.0.0.2:50051"). Several servers, with commas in
  // between or behind a name as "dns:///…", take turns, and those that are down, or say that they
  // do not serve, are left out. UNAVAILABLE when nothing answers there within connect_timeout.
  static absl::StatusOr<Client> Connect(const std::string& target,
                                        const ClientOptions& options = {});

  Client(Client&& other) noexcept;
  Client& operator=(Client&& other) noexcept;
  ~Client();

  // The losses of `plan`, in YAML or JSON (docs/plans.md), on a batch, and gradients unless
  // batch.losses_only. Tensors may have any layout and lie on any device; they are sent in their
  // own dtype, large labels, masks and segmentations in the shortest encoding of lossd.v1.Encoding
  // that gives the same. Others that are contiguous and on the CPU are sent from where they lie,
  // and must not be written to until this returns. (gRPC may hold them longer, when there was an
  // error, and keeps them alive; memory that a tensor does not own, as of at::from_blob, should
  // outlive the client then.) Labels, masks and segmentations that require a gradient where
  // gradients are wanted are refused: there are none but those of predictions.
  absl::StatusOr<Result> Compute(absl::string_view plan, const Batch& batch,
                                 const CallOptions& options = {}) const;

  // The same without waiting for it; several calls may be under way. What has to be copied or
  // encoded is so when this returns; tensors that are sent from where they lie must not be written
  // to before the call is done. All errors are the result's.
  PendingResult Submit(absl::string_view plan, const Batch& batch,
                       const CallOptions& options = {}) const;

  // What is wrong with a plan, or what it means.
  absl::StatusOr<PlanCheck> ValidatePlan(absl::string_view plan) const;

  // The losses the server computes, in alphabetical order, and their options.
  absl::StatusOr<std::vector<LossDescription>> ListLosses() const;

  // Version, devices and limits of the server.
  absl::StatusOr<ServerInfo> GetServerInfo() const;

 private:
  explicit Client(std::shared_ptr<ClientCalls> calls);
  void LetGo();

  std::shared_ptr<ClientCalls> calls_;  // Calls under way have it, too.
};

}  // namespace lossd

#endif  // LOSSD_CLIENT_H_
