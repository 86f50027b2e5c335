#include "server/handlers.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lossd/base/context.h"
#include "lossd/base/error.h"
#include "lossd/compute/compute_cost.h"
#include "lossd/compute/derived_labels.h"
#include "lossd/compute/memory_need.h"
#include "lossd/compute/orchestrator.h"
#include "lossd/losses/torch_status.h"
#include "lossd/wire/loss_catalog.h"
#include "lossd/wire/plan.h"
#include "lossd/wire/tensor.h"
#include "server/shared_memory/regions.h"

namespace lossd {
namespace {

constexpr absl::string_view kMaxRequestBytes = "the server's max_request_bytes";

// Whether terms may mean something else where this field could not be read: heads, or the terms
// themselves.
bool TermsDependOn(absl::string_view field) {
  return !absl::StartsWith(field, "losses[") && !absl::StartsWith(field, "loss_balancing") &&
         !absl::StartsWith(field, "clamp_") && !absl::StartsWith(field, "deep_supervision_");
}

// Adds what is wrong with the plan that was read beyond the mistakes in its text, so that these do
// not hide others. A field that could not be read is told once.
void CheckTheRest(const Plan& plan, const FieldSpelling& spelling,
                  std::vector<absl::Status>& problems) {
  std::set<std::string> unread;
  for (const absl::Status& problem : problems) unread.insert(ErrorField(problem).value_or(""));
  if (std::ranges::any_of(unread, TermsDependOn)) return;
  for (absl::Status& problem : Orchestrator::Check(plan, spelling)) {
    if (!unread.contains(ErrorField(problem).value_or(""))) problems.push_back(std::move(problem));
  }
}

// The problems of a plan, if any; else what it means.
void Explain(const Plan& plan, const FieldSpelling& spelling, v1::ValidatePlanResponse* response,
             std::vector<absl::Status>& problems) {
  CheckTheRest(plan, spelling, problems);
  if (!problems.empty()) return;
  const absl::StatusOr<std::unique_ptr<const Orchestrator>> compiled = Orchestrator::Create(plan);
  if (!compiled.ok()) {
    problems.push_back(compiled.status());
    return;
  }
  *response->mutable_plan() = ToMessage((*compiled)->plan());
  for (const std::string& sentence : (*compiled)->Explain()) response->add_explanations(sentence);
}

// The region that an answer is to be written into.
absl::StatusOr<Region> FindRegionOfAnswer(const v1::SharedRegion& named, const OutcomeSize& answer,
                                          const Segments& segments) {
  absl::StatusOr<Region> region = FindRegion(named, segments);
  if (!region.ok()) return region.status();
  if (std::cmp_less(region->bytes.size(), answer.gradient_bytes)) {
    return FieldError("bytes", absl::StrCat(named.bytes()),
                      absl::StrCat("at least ", answer.gradient_bytes, " for the answer's ",
                                   answer.gradients, " gradients"));
  }
  return region;
}

int64_t BytesOf(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<int64_t>(tensor.nbytes()) : 0;
}

// What a request's tensors take beyond the message that they come in, as far as it is good.
class InputBytes {
 public:
  // Of a stream all tensors come beside their message, else those that a client shares.
  explicit InputBytes(bool streamed) : streamed_(streamed) {}

  void Add(const v1::Tensor& message, ElementUse use) {
    Add(DecodingBytes(message, use));
    if (streamed_ || message.has_shared()) Add(DataBytes(message));
  }

  // At most kEnough, more than any server has.
  int64_t total() const { return total_; }

 private:
  static constexpr int64_t kEnough = int64_t{1} << 60;

  void Add(const absl::StatusOr<int64_t>& bytes) {
    if (bytes.ok()) total_ += std::min(*bytes, kEnough - total_);
  }

  const bool streamed_;
  int64_t total_ = 0;
};

absl::Status TooCostly(double cost, double most) {
  return FieldError(
      "plan", absl::StrFormat("a cost of %.3g voxels visited, over all terms and iterations", cost),
      absl::StrFormat("at most %.3g, the server's max_cost: fewer terms or iterations, a crop, or "
                      "fewer voxels at a time",
                      most));
}

}  // namespace

absl::StatusOr<Announcement> Handlers::Understand(const v1::ComputeRequest& request, Way way,
                                                  const RequestLimits& limits) {
  absl::StatusOr<std::shared_ptr<const Orchestrator>> plan = plans_.Get(request.plan());
  if (!plan.ok()) return plan.status();
  InputBytes inputs(way == Way::kStreamed);
  absl::StatusOr<Batch> read =
      ReadBatch(request, [&inputs](const v1::Tensor& message, ElementUse use) {
        inputs.Add(message, use);
        return StandIn(message, use);
      });
  if (!read.ok()) return read.status();
  const absl::StatusOr<Batch> batch = WithLabelStandIn(*std::move(read));
  if (!batch.ok()) return batch.status();
  if (absl::Status fits = CheckBatchFits(*batch, limits.bytes); !fits.ok()) return fits;
  absl::StatusOr<Schedule> schedule = (*plan)->Prepare(*batch);
  if (!schedule.ok()) return schedule.status();
  const MemoryNeed need = MeasureMemory(*schedule, *batch, pool_.threads());
  const int64_t on_device = need.input_bytes + need.outcome.gradient_bytes;
  const DeviceNeed of_device = {.least = on_device, .likely = on_device + need.gpu_scratch_bytes};
  if (absl::Status fits = devices_.CheckFits(of_device); !fits.ok()) return fits;
  const ByteLimit of_answer = way == Way::kInMessage
                                  ? ByteLimit{kMaxMessageBytes, "what one message holds"}
                                  : ByteLimit{limits.bytes, kMaxRequestBytes};
  if (absl::Status fits = CheckAnswerFits(need.outcome, *batch, of_answer); !fits.ok()) return fits;
  const double cost = ComputeCost(*schedule, *batch);
  if (cost > limits.cost) return TooCostly(cost, limits.cost);
  // One in a message is there as tensors, in the message and as that is sent.
  const int64_t answer_copies = way == Way::kInMessage ? 3 : 1;
  const int64_t answer = answer_copies * AnswerBytes(need.outcome, *batch);
  const int64_t derived = request.labels_from_gt_seg().empty() ? 0 : BytesOf(batch->labels);
  return Announcement{.plan = *std::move(plan),
                      .schedule = *std::move(schedule),
                      .answer = need.outcome,
                      .crop_seed = *batch->malis_crop_seed,
                      .demand = {.bytes = inputs.total() + derived + need.scratch_bytes + answer,
                                 .answer_bytes = answer,
                                 .cost = cost},
                      .of_device = of_device};
}

absl::StatusOr<Announcement> Handlers::Announce(const v1::ComputeRequest& request,
                                                const RequestLimits& limits) {
  return CatchTorchErrors([&]() -> absl::StatusOr<Announcement> {
    return Understand(request, request.has_gradients_into() ? Way::kShared : Way::kInMessage,
                      limits);
  });
}

absl::Status Handlers::Compute(const v1::ComputeRequest& request, const Announcement& announcement,
                               const Cancellation& cancellation, v1::ComputeResponse* response) {
  return CatchTorchErrors([&]() -> absl::Status {
    TaskGroup group(pool_);
    const Context context(group, cancellation);
    const absl::Time start = absl::Now();
    const bool shared = request.has_gradients_into();
    absl::StatusOr<Region> into = Region();
    if (shared) {
      into = FindRegionOfAnswer(request.gradients_into(), announcement.answer, segments_);
    }
    if (!into.ok()) return InField("gradients_into", into.status());
    const absl::StatusOr<Batch> batch =
        ReadBatch(request, [&](const v1::Tensor& message, ElementUse use) {
          return ReadTensor(message, use, context);
        });
    if (!batch.ok()) return batch.status();
    std::vector<at::Tensor> gradients;
    const absl::Status answered =
        Answer(announcement, *batch, start, context, response, shared ? &gradients : nullptr);
    if (!answered.ok() || !shared) return answered;
    const absl::Time written = absl::Now();
    WriteIntoRegion(*into, request.gradients_into(), gradients, context, response);
    v1::Timings* timings = response->mutable_timings();
    timings->set_encode_seconds(timings->encode_seconds() +
                                absl::ToDoubleSeconds(absl::Now() - written));
    return context.status();
  });
}

absl::Status Handlers::Answer(const Announcement& announcement, const Batch& batch,
                              absl::Time start, const Context& context,
                              v1::ComputeResponse* response, std::vector<at::Tensor>* apart) {
  const absl::Time decoded = absl::Now();
  const absl::StatusOr<Outcome> outcome = devices_.Compute(
      *announcement.plan, announcement.schedule, batch, announcement.of_device, context);
  if (!outcome.ok()) return outcome.status();
  const absl::Time computed = absl::Now();
  const absl::Status written = WriteOutcome(*outcome, announcement.crop_seed, response, apart);
  if (!written.ok()) return written;
  v1::Timings* timings = response->mutable_timings();
  timings->set_decode_seconds(absl::ToDoubleSeconds(decoded - start));
  timings->set_compute_seconds(absl::ToDoubleSeconds(computed - decoded));
  timings->set_encode_seconds(absl::ToDoubleSeconds(absl::Now() - computed));
  return absl::OkStatus();
}

absl::StatusOr<at::Tensor> Handlers::ReadTensor(const v1::Tensor& message, ElementUse use,
                                                const Context& context) const {
  if (!message.has_shared()) return FromWire(message, use, &context);
  if (!message.data().empty()) return FieldError("shared", "given beside data", "one of them");
  const absl::StatusOr<Region> region = FindRegion(message.shared(), segments_);
  if (!region.ok()) return InField("shared", region.status());
  const absl::StatusOr<int64_t> bytes = DataBytes(message);
  if (!bytes.ok()) return bytes.status();
  if (std::cmp_not_equal(region->bytes.size(), *bytes)) {
    return FieldError("shared.bytes", absl::StrCat(region->bytes.size()),
                      absl::StrCat(*bytes, ", as dtype, shape and encoding say"));
  }
  const at::Tensor copy = arrivals_.Take(*bytes);
  CopyFromRegion(*region, copy, context);
  return FromBytes(message, copy, use, &context);
}

absl::StatusOr<StreamedRequest> Handlers::Prepare(v1::ComputeRequest header,
                                                  const RequestLimits& limits) {
  return CatchTorchErrors([&]() -> absl::StatusOr<StreamedRequest> {
    absl::StatusOr<Announcement> announcement = Understand(header, Way::kStreamed, limits);
    if (!announcement.ok()) return announcement.status();
    if (header.has_gradients_into()) {
      return FieldError("gradients_into", "given in a stream", "none, as Compute alone takes it");
    }
    absl::StatusOr<std::vector<StreamedTensor>> tensors = ReadStreamLayout(header);
    if (!tensors.ok()) return tensors.status();
    return StreamedRequest{.header = std::move(header),
                           .announcement = *std::move(announcement),
                           .tensors = *std::move(tensors)};
  });
}

absl::Status Handlers::Compute(const StreamedRequest& request, absl::Span<const at::Tensor> data,
                               const Cancellation& cancellation, StreamedAnswer* answer) {
  return CatchTorchErrors([&]() -> absl::Status {
    TaskGroup group(pool_);
    const Context context(group, cancellation);
    const absl::Time start = absl::Now();
    const auto* next = data.begin();
    const absl::StatusOr<Batch> batch =
        ReadBatch(request.header, [&](const v1::Tensor& message, ElementUse use) {
          return FromBytes(message, *next++, use, &context);
        });
    if (!batch.ok()) return batch.status();
    return Answer(request.announcement, *batch, start, context, &answer->header, &answer->tensors);
  });
}

absl::Status Handlers::ValidatePlan(const v1::ValidatePlanRequest& request,
                                    v1::ValidatePlanResponse* response) {
  return CatchTorchErrors([&]() -> absl::Status {
    const v1::PlanSource& source = request.plan();
    if (const absl::Status checked = CheckPlanSource(source); !checked.ok()) return checked;
    PlanDocument document = ReadPlanSource(source);
    Explain(document.plan, document.spelling, response, document.problems);
    for (const absl::Status& problem : document.problems) {
      v1::PlanProblem* message = response->add_problems();
      message->set_field(ErrorField(problem).value_or(""));
      message->set_message(std::string(problem.message()));
    }
    return absl::OkStatus();
  });
}

int64_t Handlers::kept_bytes() {
  return static_cast<int64_t>(pool_.workspace().kept() + arrivals_.kept());
}

void Handlers::GiveBackKept() {
  pool_.workspace().GiveBack();
  arrivals_.GiveBack();
}

absl::Status Handlers::ListLosses(v1::ListLossesResponse* response) {
  return CatchTorchErrors([&] {
    *response = LossCatalog();
    return absl::OkStatus();
  });
}

}  // namespace lossd
