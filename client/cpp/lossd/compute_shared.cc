#include "lossd/compute_shared.h"

#include <ATen/ATen.h>

#include <cstdint>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "lossd/base/error.h"
#include "lossd/compute_streamed.h"
#include "lossd/gradient_memory.h"
#include "lossd/rpc_error.h"
#include "lossd/shared_segments.h"
#include "lossd/wire/stream_layout.h"
#include "lossd/wire/tensor.h"

namespace lossd {
namespace {

// An answer whose gradients are beside it: the bytes of each, in memory of its own.
struct IncomingAnswer {
  v1::ComputeResponse header;
  std::vector<at::Tensor> data;
};

// Each tensor begins where a vector register and a cache line do.
constexpr size_t kAlignment = 64;

size_t Aligned(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// Room for the gradients of the predictions: none where there are none, and where those of terms
// come, too, as only the server knows how many these are. What has no room comes in the answer.
size_t GradientRoom(const v1::ComputeRequest& request) {
  size_t bytes = 0;
  if (request.losses_only() || request.per_term_gradients()) return bytes;
  for (const v1::NamedTensor& prediction : request.predictions()) {
    v1::Tensor gradient = prediction.tensor();
    if (request.gradient_dtype() == v1::D_TYPE_FLOAT32) gradient.set_dtype(v1::D_TYPE_FLOAT32);
    // What is no tensor has no gradient either: the server says so.
    bytes += static_cast<size_t>(DataBytes(gradient).value_or(0));
  }
  return bytes;
}

// Bytes of a segment, as a tensor over them.
at::Tensor Over(absl::Span<std::byte> bytes) {
  return at::from_blob(bytes.data(), {static_cast<int64_t>(bytes.size())}, at::kByte);
}

void Name(const SharedSegments::Loan& loan, size_t offset, size_t bytes, v1::SharedRegion* region) {
  region->set_segment(std::string(loan.token()));
  region->set_offset(offset);
  region->set_bytes(bytes);
}

// Copies the tensors into the segment; the header then says where they lie.
v1::ComputeRequest PutIn(const OutgoingRequest& request, const SharedSegments::Loan& loan) {
  v1::ComputeRequest header = request.header;
  size_t begin = 0;
  const at::Tensor* next = request.tensors.data();
  for (v1::Tensor* const message : StreamTensors(header)) {
    const at::Tensor& tensor = *next++;
    const size_t bytes = tensor.nbytes();
    const at::Tensor flat =
        at::from_blob(tensor.data_ptr(), {static_cast<int64_t>(bytes)}, at::kByte);
    Over(loan.bytes().subspan(begin, bytes)).copy_(flat);
    Name(loan, begin, bytes, message->mutable_shared());
    begin += Aligned(bytes);
  }
  return header;
}

// Takes gradients that came in the answer out of it.
absl::Status TakeInline(const Arrivals& arrivals, IncomingAnswer* answer) {
  for (v1::Tensor* const gradient : StreamTensors(answer->header)) {
    const std::string& data = gradient->data();
    absl::StatusOr<at::Tensor> taken =
        TakeGradientMemory(arrivals, static_cast<int64_t>(data.size()));
    if (!taken.ok()) return taken.status();
    std::memcpy(taken->mutable_data_ptr(), data.data(), data.size());
    answer->data.push_back(*std::move(taken));
    gradient->clear_data();
  }
  return absl::OkStatus();
}

// Takes the answer's gradients out of the segment.
absl::Status TakeOut(const SharedSegments::Loan& loan, const v1::SharedRegion& room,
                     const Arrivals& arrivals, IncomingAnswer* answer) {
  for (v1::NamedTensor& gradient : *answer->header.mutable_gradients()) {
    v1::Tensor* const message = gradient.mutable_tensor();
    const absl::StatusOr<int64_t> bytes = DataBytes(*message);
    if (!bytes.ok()) return absl::InternalError(bytes.status().message());
    const v1::SharedRegion& region = message->shared();
    const uint64_t offset = region.offset();
    if (region.segment() != loan.token() || std::cmp_not_equal(region.bytes(), *bytes) ||
        offset < room.offset() || region.bytes() > room.bytes() ||
        offset - room.offset() > room.bytes() - region.bytes()) {
      return absl::InternalError(absl::StrCat("the server's answer: gradient ", gradient.name(),
                                              " is not where it was asked to be"));
    }
    absl::StatusOr<at::Tensor> taken = TakeGradientMemory(arrivals, *bytes);
    if (!taken.ok()) return taken.status();
    taken->copy_(Over(loan.bytes().subspan(offset, region.bytes())));
    answer->data.push_back(*std::move(taken));
    message->clear_shared();
  }
  return absl::OkStatus();
}

class SharedDelivery final : public Delivery {
 public:
  SharedDelivery(std::shared_ptr<const OutgoingRequest> request, bool required)
      : request_(std::move(request)), required_(required), streamed_(DeliverStreamed(request_)) {}

  absl::StatusOr<Result> Attempt(const Connection& connection, grpc::ClientContext& context,
                                 CallControl& control, const ProgressFunction& progress) override {
    std::shared_ptr<SharedSegments> segments;
    absl::StatusOr<SharedSegments::Loan> loan = Borrow(connection, context, control, segments);
    if (loan.ok()) {
      absl::StatusOr<Result> result = Compute(connection, context, *loan);
      // The server has forgotten our segments, or never knew them: it is another one.
      if (ErrorReason(result.status()) == "UNKNOWN_SEGMENT") {
        Leave(*connection.shared_memory, segments,
              "other servers answer than the one that shares memory");
      }
      return result;
    }
    const bool cannot_be = absl::IsFailedPrecondition(loan.status());
    if (!cannot_be || required_) return loan.status();
    return streamed_->Attempt(connection, context, control, progress);
  }

 private:
  // A segment for the request and its gradients, one of `segments`. FAILED_PRECONDITION where there
  // is none to be had.
  absl::StatusOr<SharedSegments::Loan> Borrow(const Connection& connection,
                                              const grpc::ClientContext& context,
                                              CallControl& control,
                                              std::shared_ptr<SharedSegments>& segments) {
    if (connection.shared_memory == nullptr) {
      return absl::FailedPreconditionError("memory is not shared with several servers");
    }
    const absl::Time deadline = absl::FromChrono(context.deadline());
    while (true) {
      absl::StatusOr<std::shared_ptr<SharedSegments>> found = connection.shared_memory->Get(
          *connection.stub, connection.introduction, control, deadline);
      if (!found.ok()) return found.status();
      segments = *std::move(found);
      absl::StatusOr<SharedSegments::Loan> loan =
          segments->Borrow(TensorRoom() + GradientRoom(request_->header), control, deadline);
      if (loan.ok()) return loan;
      const bool lost = segments->lost();
      if (lost) Leave(*connection.shared_memory, segments, loan.status().message());
      if (!control.status().ok()) return control.status();
      if (absl::Now() >= deadline) return absl::DeadlineExceededError(loan.status().message());
      if (!lost) return absl::FailedPreconditionError(loan.status().message());
    }
  }

  // Has the next attempt share other memory than these, which were of no use, and why; after the
  // second of this call, none of the connection's.
  void Leave(SharedMemoryNegotiation& negotiation, const std::shared_ptr<SharedSegments>& segments,
             absl::string_view why) {
    if (++left_ == 1) {
      negotiation.Leave(segments);
    } else {
      negotiation.Refuse(why);
    }
  }

  // What the tensors take, each aligned.
  size_t TensorRoom() const {
    size_t bytes = 0;
    for (const at::Tensor& tensor : request_->tensors) bytes += Aligned(tensor.nbytes());
    return bytes;
  }

  absl::StatusOr<Result> Compute(const Connection& connection, grpc::ClientContext& context,
                                 SharedSegments::Loan& loan) const {
    const absl::Time start = absl::Now();
    v1::ComputeRequest header = PutIn(*request_, loan);
    const size_t room = GradientRoom(header);
    if (room > 0) Name(loan, TensorRoom(), room, header.mutable_gradients_into());
    const absl::Time sent = absl::Now();
    IncomingAnswer answer;
    absl::Status status = FromRpcStatus(connection.stub->Compute(&context, header, &answer.header));
    if (!status.ok()) {
      loan.MayBeInUse();
      return status;
    }
    const absl::Time answered = absl::Now();
    const CallBytes bytes = {.sent = static_cast<int64_t>(header.ByteSizeLong()),
                             .received = static_cast<int64_t>(answer.header.ByteSizeLong())};
    status = room > 0
                 ? TakeOut(loan, header.gradients_into(), Arrivals(connection.workspace), &answer)
                 : TakeInline(Arrivals(connection.workspace), &answer);
    if (!status.ok()) return status;
    auto next = answer.data.begin();
    absl::StatusOr<Result> result = ReadResult(
        answer.header, [&](const v1::Tensor& message) { return FromBytes(message, *next++); });
    if (!result.ok()) return result;
    result->timings.client_send = sent - start;
    result->timings.client_receive = absl::Now() - answered;
    result->bytes = bytes;
    return result;
  }

  const std::shared_ptr<const OutgoingRequest> request_;
  const bool required_;
  const std::unique_ptr<Delivery> streamed_;
  int left_ = 0;  // Segments.
};

}  // namespace

std::unique_ptr<Delivery> DeliverShared(std::shared_ptr<const OutgoingRequest> request,
                                        bool required) {
  return std::make_unique<SharedDelivery>(std::move(request), required);
}

}  // namespace lossd
