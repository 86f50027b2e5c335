#include "lossd/wire/stream_layout.h"

#include <limits>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/wire/tensor.h"

namespace lossd {
namespace {

using NamedTensorMessages = google::protobuf::RepeatedPtrField<v1::NamedTensor>;

// Gathers the tensors of a header.
class LayoutReader {
 public:
  // Tensors of answers are as their dtype says: who trusts their sizes takes no more memory.
  explicit LayoutReader(bool of_answer) : of_answer_(of_answer) {}

  void Add(std::string field, const v1::Tensor& tensor) {
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

  void Add(const std::string& field, const NamedTensorMessages& tensors) {
    for (const v1::NamedTensor& named : tensors) {
      Add(absl::StrCat(field, "[", named.name(), "]"), named.tensor());
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

}  // namespace

absl::StatusOr<std::vector<StreamedTensor>> ReadStreamLayout(const v1::ComputeRequest& header) {
  LayoutReader reader(/*of_answer=*/false);
  reader.Add("predictions", header.predictions());
  if (header.has_labels()) reader.Add("labels", header.labels());
  if (header.has_mask()) reader.Add("mask", header.mask());
  if (header.has_label_mask()) reader.Add("label_mask", header.label_mask());
  if (header.has_gt_seg()) reader.Add("gt_seg", header.gt_seg());
  return reader.Finish();
}

absl::StatusOr<std::vector<StreamedTensor>> ReadStreamLayout(const v1::ComputeResponse& header) {
  LayoutReader reader(/*of_answer=*/true);
  for (int i = 0; i < header.terms_size(); ++i) {
    reader.Add(absl::StrCat("terms[", i, "].gradients"), header.terms(i).gradients());
  }
  reader.Add("gradients", header.gradients());
  return reader.Finish();
}

int64_t TotalBytes(const std::vector<StreamedTensor>& tensors) {
  int64_t total = 0;
  for (const StreamedTensor& tensor : tensors) total += tensor.bytes;
  return total;
}

}  // namespace lossd
