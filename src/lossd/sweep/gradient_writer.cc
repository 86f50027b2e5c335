#include "lossd/sweep/gradient_writer.h"

#include <array>
#include <cstdint>

#include "lossd/sweep/kernels.h"
#include "lossd/sweep/slabs.h"
#include "lossd/sweep/sweep.h"

namespace lossd {
namespace {

bool OnCpu(const at::Tensor& tensor) { return tensor.defined() && tensor.is_cpu(); }

}  // namespace

GradientWriter::GradientWriter(const GradientInto& gradient)
    : gradient_(gradient),
      on_cpu_(OnCpu(gradient.into)),
      in_place_(on_cpu_ && !gradient.add && gradient.into.scalar_type() == at::kFloat) {}

template <typename T>
T* GradientWriter::At(const BlockRange& range) const {
  const at::Tensor& into = gradient_.into;
  return static_cast<T*>(into.mutable_data_ptr()) + range.sample * into.stride(0) +
         range.channel * into.stride(1) + range.begin;
}

float* GradientWriter::Block(const BlockRange& range, float* scratch) const {
  if (!wanted()) return nullptr;
  return in_place_ ? At<float>(range) : scratch;
}

void GradientWriter::Put(const BlockRange& range, const float* block) {
  if (block == nullptr) return;
  bool finite = true;
  const at::ScalarType type = gradient_.into.scalar_type();
  if (type == at::kFloat) {
    finite = AddScaledBlock(block, 1, gradient_.add, range.size, At<float>(range));
  } else if (type == at::kHalf && !gradient_.add) {
    finite = NarrowHalf(block, range.size, At<uint16_t>(range));
  } else if (type == at::kBFloat16 && !gradient_.add) {
    finite = NarrowBfloat16(block, range.size, At<uint16_t>(range));
  } else {
    const at::Tensor part = gradient_.into.select(0, range.sample).select(0, range.channel);
    const at::Tensor product = at::from_blob(const_cast<float*>(block), {range.size}, at::kFloat);
    PutPart(part.flatten().narrow(0, range.begin, range.size), product);
  }
  if (!finite) finite_ = false;
}

void GradientWriter::PutPart(const at::Tensor& part, const at::Tensor& product) {
  const at::Tensor typed = product.to(part.options());
  const bool quick = typed.is_cpu() && typed.scalar_type() == at::kFloat && typed.is_contiguous();
  // A product with 1 in its own place is only looked at.
  auto* const elements = quick ? typed.mutable_data_ptr<float>() : nullptr;
  const bool finite = quick ? AddScaledBlock(elements, 1, /*add=*/false, typed.numel(), elements)
                            : at::isfinite(typed).all().item<bool>();
  if (!finite) finite_ = false;
  if (gradient_.add) {
    part.add_(product.to(part.device()));
  } else {
    part.copy_(typed);
  }
}

void GradientWriter::PutZeros(const at::Tensor& part, const Context& context) {
  if (gradient_.add) return;
  ForEachSlab(part.sizes(), context, [&](const Slab& slab) {
    slab.Of(part).zero_();
    return absl::OkStatus();
  }).IgnoreError();
}

bool WriteGradient(const at::Tensor& gradient, const GradientInto& into, const Context& context) {
  GradientWriter writer(into);
  const at::Tensor from = gradient.detach();
  const bool sweeps = from.dim() >= 3 && from.is_cpu() && into.into.is_cpu() &&
                      from.scalar_type() == at::kFloat && into.into.scalar_type() != at::kDouble;
  if (!sweeps) {
    writer.PutPart(into.into, from * into.factor);
    return writer.finite();
  }
  const BlockReader reader(from, from.sizes());
  const float factor = writer.Scale(1);
  Sweep<0>(Blocks(from.sizes()), context, [&](const BlockRange& range) {
    std::array<float, kBlockSize> read;
    std::array<float, kBlockSize> scratch;
    float* const block = writer.Block(range, scratch.data());
    AddScaledBlock(reader.Read(range, read.data()), factor, /*add=*/false, range.size, block);
    writer.Put(range, block);
    return std::array<double, 0>{};
  });
  return writer.finite();
}

}  // namespace lossd
