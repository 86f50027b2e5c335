#include "lossd/wire/stream_layout.h"

#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/wire/tensor.h"

namespace lossd {
namespace {

// Gathers the tensors of a header.
class LayoutReader {
 public:
  // Tensors of answers are as their dtype says: who trusts their sizes takes no more memory.
  explicit LayoutReader(bool of_answer) : of_answer_(of_answer) {}

  void operator()(std::string field, const v1::Tensor& tensor) {
    if (!status_.ok()) return;
    const absl::StatusOr<int64_t> bytes = DataBytes(tensor);
    if (!bytes.ok()) {
      status_ = InField(field, bytes.status());
    } else if (of_answer_ && (tensor.encoding() != v1::ENCODING_UNSPECIFIED ||
                              tensor.compression() != v1::COMPRESSION_UNSPECIFIED)) {
      status_ = FieldError(field, "encoded or compressed", "as its dtype says, in an answer");
    } else if (tensor.has_shared()) {
      status_ = FieldError(absl::StrCat(field, ".shared"), "given in a stream",
                           "none, as data follow in chunks");
    } else if (!tensor.data().empty()) {
      status_ = FieldError(absl::StrCat(field, ".data"),
                           absl::StrCat(tensor.data().size(), " bytes in the header"),
                           "none, as they follow in chunks");
    } else if (*bytes > std::numeric_limits<int64_t>::max() - total_) {
      status_ =
          FieldError(absl::StrCat(field, ".shape"), absl::StrCat(*bytes, " bytes after ", total_),
                     "tensors that fit into memory");
    } else {
      total_ += *bytes;
      tensors_.push_back({.field = std::move(field), .bytes = *bytes});
    }
  }

  absl::StatusOr<std::vector<StreamedTensor>> Finish() {
    if (!status_.ok()) return status_;
    return std::move(tensors_);
  }

 private:
  const bool of_answer_;
  std::vector<StreamedTensor> tensors_;
  int64_t total_ = 0;
  absl::Status status_;
};

// Calls visit(field, tensor) for the tensors of a message, in the order of a stream.
template <typename Visitor>
void VisitNamed(const std::string& field,
                const google::protobuf::RepeatedPtrField<v1::NamedTensor>& tensors,
                Visitor& visit) {
  for (const v1::NamedTensor& named : tensors) {
    visit(absl::StrCat(field, "[", named.name(), "]"), named.tensor());
  }
}

template <typename Visitor>
void Visit(const v1::ComputeRequest& message, Visitor& visit) {
  VisitNamed("predictions", message.predictions(), visit);
  if (message.has_labels()) visit("labels", message.labels());
  if (message.has_mask()) visit("mask", message.mask());
  if (message.has_label_mask()) visit("label_mask", message.label_mask());
  if (message.has_gt_seg()) visit("gt_seg", message.gt_seg());
}

template <typename Visitor>
void Visit(const v1::ComputeResponse& message, Visitor& visit) {
  for (int i = 0; i < message.terms_size(); ++i) {
    VisitNamed(absl::StrCat("terms[", i, "].gradients"), message.terms(i).gradients(), visit);
  }
  VisitNamed("gradients", message.gradients(), visit);
}

// The tensors of a message that may be changed; so may they.
template <typename Message>
std::vector<v1::Tensor*> Gather(Message& message) {
  std::vector<v1::Tensor*> tensors;
  const auto add = [&tensors](const std::string& /*field*/, const v1::Tensor& tensor) {
    tensors.push_back(const_cast<v1::Tensor*>(&tensor));
  };
  Visit(message, add);
  return tensors;
}

}  // namespace

absl::StatusOr<std::vector<StreamedTensor>> ReadStreamLayout(const v1::ComputeRequest& header) {
  LayoutReader reader(/*of_answer=*/false);
  Visit(header, reader);
  return reader.Finish();
}

absl::StatusOr<std::vector<StreamedTensor>> ReadStreamLayout(const v1::ComputeResponse& header) {
  LayoutReader reader(/*of_answer=*/true);
  Visit(header, reader);
  return reader.Finish();
}

std::vector<v1::Tensor*> StreamTensors(v1::ComputeRequest& message) { return Gather(message); }
std::vector<v1::Tensor*> StreamTensors(v1::ComputeResponse& message) { return Gather(message); }

int64_t TotalBytes(const std::vector<StreamedTensor>& tensors) {
  int64_t total = 0;
  for (const StreamedTensor& tensor : tensors) total += tensor.bytes;
  return total;
}

}  // namespace lossd
