#include "lossd/sweep/gpu_gradient_writer.h"

#include "lossd/sweep/block_reader.h"
#include "lossd/sweep/gradient_writer.h"

namespace lossd {

GpuGradientWriter::GpuGradientWriter(const GradientInto& gradient)
    : gradient_(gradient),
      in_place_(gradient.wanted() && gradient.into.scalar_type() == at::kFloat &&
                VoxelStride(gradient.into) == 1) {
  if (in_place_) {
    place_ = {.into = gradient.into, .add = gradient.add};
  } else if (gradient.wanted()) {
    place_ = {.into = at::empty(gradient.into.sizes(), gradient.into.options().dtype(at::kFloat))};
  }
}

bool GpuGradientWriter::Finish(bool finite) const {
  if (in_place_ || !gradient_.wanted()) return finite;
  GradientWriter writer(gradient_);
  writer.PutPart(gradient_.into, place_.into);
  return finite && writer.finite();
}

}  // namespace lossd
