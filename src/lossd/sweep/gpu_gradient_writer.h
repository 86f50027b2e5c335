#ifndef LOSSD_SWEEP_GPU_GRADIENT_WRITER_H_
#define LOSSD_SWEEP_GPU_GRADIENT_WRITER_H_

#include <ATen/ATen.h>

#include "lossd/device/sweeps.h"
#include "lossd/losses/loss.h"

namespace lossd {

// Where a sweep on a GPU puts factor × gradient: there where it is wanted, if that is float32 and
// its voxels lie side by side, else beside it first.
class GpuGradientWriter {
 public:
  explicit GpuGradientWriter(const GradientInto& gradient);

  const GpuGradient& place() const { return place_; }

  // After the sweep, which says whether what it has put is finite: whether that holds of all that
  // is where it is wanted.
  bool Finish(bool finite) const;

 private:
  const GradientInto gradient_;
  const bool in_place_;
  GpuGradient place_;
};

}  // namespace lossd

#endif  // LOSSD_SWEEP_GPU_GRADIENT_WRITER_H_
