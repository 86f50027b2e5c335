#ifndef LOSSD_SWEEP_CPU_KERNEL_TABLES_H_
#define LOSSD_SWEEP_CPU_KERNEL_TABLES_H_

#include "lossd/sweep/kernels.h"
#include "lossd/sweep/morphology.h"
#include "lossd/sweep/skeleton_kernels.h"
#include "lossd/sweep/softmax_kernels.h"

// What the sources of this folder are compiled to for each level (base/instruction_sets.h): a table
// a source. The members are the functions of sweep/*.h of the same name, which call those of the
// level that runs (dispatch.cc).
namespace lossd {

// element_kernels.cc
struct ElementKernels {
  const PointwiseKernel* of_losses;  // Of the losses of list.h; null for those without an element.

  static const ElementKernels baseline, avx2, avx512;
};

// kernels.cc
struct BlockKernels {
  decltype(&CountWeightsBlock) count_weights;
  decltype(&CountBlock) count;
  decltype(&OverlapBlock) overlap;
  decltype(&OverlapGradientBlock) overlap_gradient;
  decltype(&BadnessBlock) badness;
  decltype(&WorstNeighbours) worst_neighbours;
  decltype(&ClampBlock) clamp;
  decltype(&ClassWeightBlock) class_weight;
  decltype(&KeepBlock) keep;
  decltype(&WidenHalf) widen_half;
  decltype(&WidenBfloat16) widen_bfloat16;
  decltype(&NarrowHalf) narrow_half;
  decltype(&NarrowBfloat16) narrow_bfloat16;
  decltype(&AddScaledBlock) add_scaled;
  decltype(&NonOverlapBlock) non_overlap;
  decltype(&AffinityErrorBlock) affinity_error;

  static const BlockKernels baseline, avx2, avx512;
};

// sigmoid.cc
struct SigmoidKernels {
  decltype(&SigmoidBlock) sigmoid;
  decltype(&AffinityBlock) affinity;

  static const SigmoidKernels baseline, avx2, avx512;
};

// softmax_kernels.cc
struct SoftmaxKernels {
  decltype(&CrossEntropyBlock) cross_entropy;
  decltype(&SoftmaxBlock) softmax;
  decltype(&OneHotBlock) one_hot;
  decltype(&SoftmaxGradientBlock) softmax_gradient;

  static const SoftmaxKernels baseline, avx2, avx512;
};

// morphology.cc. Its functions take their scratch, rows of floats, from the caller.
struct MorphologyKernels {
  decltype(&ErodePlane) erode;
  void (*dilate)(const PlaneShape& shape, const Planes<const float>& volume, float* row,
                 float* dilated);
  void (*add_erosion_gradient)(const PlaneShape& shape, const Planes<const float>& volume,
                               const float* gradient, float* six_rows, const Planes<float>& sum);
  void (*subtract_dilation_gradient)(const PlaneShape& shape, const Planes<const float>& volume,
                                     const float* dilated, const float* gradient, float* row,
                                     const Planes<float>& sum);

  static const MorphologyKernels baseline, avx2, avx512;
};

// skeleton_kernels.cc
struct SkeletonKernels {
  decltype(&ThickenBlock) thicken;
  decltype(&ThickenGradientBlock) thicken_gradient;
  decltype(&SumSkeletonBlock) sum;
  decltype(&SkeletonGradientBlock) gradient;

  static const SkeletonKernels baseline, avx2, avx512;
};

}  // namespace lossd

#endif  // LOSSD_SWEEP_CPU_KERNEL_TABLES_H_
