#include "lossd/sweep/class_channels.h"

#include <vector>

#include "absl/strings/str_cat.h"
#include "lossd/base/error.h"
#include "lossd/losses/checks.h"
#include "lossd/sweep/slabs.h"

namespace lossd {

absl::Status CheckClassChannels(const LossInputs& inputs, bool to_onehot_y) {
  if (absl::Status status = CheckPrediction("pred", inputs.pred); !status.ok()) return status;
  if (!to_onehot_y || inputs.pred.size(1) == 1) {
    return CheckLikePrediction("target", inputs.target, inputs.pred);
  }
  return CheckClassTarget(inputs.target, inputs.pred);
}

absl::StatusOr<ClassChannels> PrepareClassChannels(const LossInputs& inputs,
                                                   const ClassOptions& options) {
  const int64_t channels = inputs.pred.size(1);
  ClassChannels result{.pred = inputs.pred, .target = inputs.target};
  if (options.sigmoid) result.pred = result.pred.sigmoid();
  if (options.softmax && channels > 1) result.pred = result.pred.softmax(1);
  if (options.to_onehot_y && channels > 1) {
    const at::Tensor indices = ClassIndices(inputs.target, inputs.pred);
    if (absl::Status status = CheckClassIndices(indices, channels); !status.ok()) return status;
    result.target = OneHot(indices.unsqueeze(1), channels);
  }
  if (!options.include_background && channels > 1) {
    result.pred = result.pred.narrow(1, 1, channels - 1);
    result.target = result.target.narrow(1, 1, channels - 1);
  }
  return result;
}

int64_t CountedChannels(int64_t channels, bool include_background) {
  return include_background || channels == 1 ? channels : channels - 1;
}

absl::Status CheckClassWeight(const std::vector<double>& weight, int64_t channels) {
  const auto size = static_cast<int64_t>(weight.size());
  if (size <= 1 || channels == 1 || size == channels) return absl::OkStatus();
  return FieldError("kwargs.weight", absl::StrCat(weight.size(), " values"),
                    absl::StrCat("1, or one for each of the ", channels, " channels that count"));
}

at::Tensor TimesClassWeight(const at::Tensor& values, const std::vector<double>& weight,
                            int64_t channel_dim) {
  if (weight.empty() || values.size(channel_dim) == 1) return values;
  std::vector<int64_t> shape(values.dim(), 1);
  shape[channel_dim] = static_cast<int64_t>(weight.size());
  return values * at::tensor(weight, values.options()).view(shape);
}

int64_t ClassIndexBytes(const LossShape& shape) {
  constexpr int64_t kBytes = 3 * sizeof(int64_t);
  return kBytes * shape.samples() * shape.voxels();
}

at::Tensor OneHot(const at::Tensor& indices, int64_t classes) {
  std::vector<int64_t> shape = indices.sizes().vec();
  shape[1] = classes;
  return at::zeros(shape, indices.options().dtype(at::kByte)).scatter_(1, indices, 1);
}

absl::StatusOr<at::Tensor> OneHotTarget(const LossInputs& inputs, const Context& context) {
  const int64_t classes = inputs.pred.size(1);
  const at::Tensor target = WithChannel(inputs.target, inputs.pred);
  at::Tensor one_hot = at::empty(inputs.pred.sizes(), target.options().dtype(at::kByte));
  absl::Status status =
      ForEachSlab(inputs.pred.sizes(), context, [&](const Slab& slab) -> absl::Status {
        const at::Tensor indices = slab.Of(target).to(at::kLong);
        if (absl::Status bad = CheckClassIndices(indices, classes); !bad.ok()) return bad;
        slab.Of(one_hot).copy_(OneHot(indices, classes));
        return absl::OkStatus();
      });
  if (!status.ok()) return status;
  return one_hot;
}

}  // namespace lossd
