#include "lossd/sweep/gpu_gradient_writer.h"

#include "lossd/sweep/gradient_writer.h"

namespace lossd {

GpuGradientWriter::GpuGradientWriter(const GradientInto& gradient) : gradient_(gradient) {
  if (!gradient.wanted()) return;
  if (gradient.into.scalar_type() == at::kFloat) {
    place_ = {.into = gradient.into, .add = gradient.add};
  } else {
    place_ = {.into = at::empty(gradient.into.sizes(), gradient.into.options().dtype(at::kFloat))};
  }
}

bool GpuGradientWriter::Finish(bool finite) const {
  if (!gradient_.wanted() || gradient_.into.scalar_type() == at::kFloat) return finite;
  GradientWriter writer(gradient_);
  writer.PutPart(gradient_.into, place_.into);
  return finite && writer.finite();
}

}  // namespace lossd
