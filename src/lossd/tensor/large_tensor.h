#ifndef LOSSD_TENSOR_LARGE_TENSOR_H_
#define LOSSD_TENSOR_LARGE_TENSOR_H_

#include <ATen/ATen.h>

#include <memory>

#include "lossd/base/workspace.h"

namespace lossd {

// An uninitialised contiguous tensor on the CPU. As at::empty, but that a large one lies in huge
// pages where the system has them: what is written or received once would spend most of that time
// on the system's handing small pages out one by one.
at::Tensor EmptyLarge(at::IntArrayRef sizes, at::ScalarType type = at::kFloat);

// The same in memory that the workspace keeps; the tensor keeps the workspace.
at::Tensor BorrowTensor(std::shared_ptr<Workspace> workspace, at::IntArrayRef sizes,
                        at::ScalarType type);
// The same of a workspace that outlives the tensor.
at::Tensor BorrowTensor(Workspace& workspace, at::IntArrayRef sizes, at::ScalarType type);

}  // namespace lossd

#endif  // LOSSD_TENSOR_LARGE_TENSOR_H_
