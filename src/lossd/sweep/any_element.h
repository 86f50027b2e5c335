#ifndef LOSSD_SWEEP_ANY_ELEMENT_H_
#define LOSSD_SWEEP_ANY_ELEMENT_H_

#include <array>
#include <cstddef>
#include <cstring>
#include <type_traits>
#include <utility>

#include "lossd/losses/list.h"
#include "lossd/sweep/kernels.h"

namespace lossd {

// Of a loss of one element at a time, else void.
template <typename Loss>
struct ElementOf {
  using Type = void;
};
template <typename Loss>
  requires requires(const Loss& loss) { loss.Element(); }
struct ElementOf<Loss> {
  using Type = decltype(std::declval<const Loss&>().Element());
};

// The first of the losses with that element function; −1 when there is none.
template <typename Element, typename... Each>
constexpr int IndexOfElement(TypeList<Each...> /*losses*/) {
  int index = 0;
  int found = -1;
  ((found = found < 0 && std::is_same_v<typename ElementOf<Each>::Type, Element> ? index : found,
    ++index),
   ...);
  return found;
}

// The element function of any loss of the list, with its parameters.
class AnyElement {
 public:
  template <typename Element>
  AnyElement(const Element& element)  // NOLINT(google-explicit-constructor)
      : loss_(IndexOfElement<Element>(Losses())), kernel_(KernelOfLoss(loss_)) {
    static_assert(IndexOfElement<Element>(Losses()) >= 0,
                  "element_kernels.cc compiles those of Losses");
    static_assert(std::is_trivially_copyable_v<Element> && sizeof(Element) <= sizeof(parameters_));
    std::memcpy(parameters_.data(), &element, sizeof(Element));
  }

  // PointwiseKernel.
  double Sum(const PointwiseBlock& block, const PointwiseOptions& options) const {
    return kernel_(parameters_.data(), block, options);
  }

  // The place in the list of the first loss with that function, and its parameters.
  int loss() const { return loss_; }
  const std::array<std::byte, 32>& parameters() const { return parameters_; }

 private:
  int loss_;
  PointwiseKernel kernel_;
  alignas(double) std::array<std::byte, 32> parameters_ = {};
};

}  // namespace lossd

#endif  // LOSSD_SWEEP_ANY_ELEMENT_H_
