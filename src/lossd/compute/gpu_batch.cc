#include "lossd/compute/gpu_batch.h"

#include <utility>

#include "lossd/device/transfer.h"
#include "lossd/losses/torch_status.h"

namespace lossd {
namespace {

Batch ToGpu(Batch batch, const at::Device& gpu, const Context& context) {
  for (NamedTensor& prediction : batch.predictions) {
    prediction.tensor = ToGpu(prediction.tensor, gpu, context);
  }
  for (at::Tensor* tensor : {&batch.labels, &batch.mask, &batch.label_mask, &batch.gt_seg}) {
    *tensor = ToGpu(*tensor, gpu, context);
  }
  return batch;
}

// Waits, in the end, until the stream does not read the batch any more.
class EndOfStream {
 public:
  explicit EndOfStream(const at::Device& gpu) : gpu_(gpu) {}
  ~EndOfStream() {
    // Where the device has failed, whoever used it has heard.
    CatchTorchErrors([this] {
      WaitForGpu(gpu_);
      return absl::OkStatus();
    }).IgnoreError();
  }
  EndOfStream(const EndOfStream&) = delete;
  EndOfStream& operator=(const EndOfStream&) = delete;

 private:
  const at::Device gpu_;
};

Outcome ToHost(Outcome outcome, const at::Device& gpu) {
  for (NamedTensor& gradient : outcome.gradients) gradient.tensor = StartToHost(gradient.tensor);
  for (TermOutcome& term : outcome.terms) {
    for (NamedTensor& gradient : term.gradients) gradient.tensor = StartToHost(gradient.tensor);
  }
  WaitForGpu(gpu);
  return outcome;
}

}  // namespace

absl::StatusOr<Outcome> ComputeOnGpu(const Orchestrator& plan, const Schedule& schedule,
                                     const Batch& batch, const at::Device& gpu,
                                     const Context& context) {
  return CatchTorchErrors([&]() -> absl::StatusOr<Outcome> {
    const EndOfStream end(gpu);
    absl::StatusOr<Outcome> outcome =
        plan.Compute(schedule, ToGpu(batch, gpu, context), context.OnGpu());
    if (!outcome.ok()) return outcome;
    return ToHost(*std::move(outcome), gpu);
  });
}

}  // namespace lossd
