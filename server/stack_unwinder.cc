#include "server/stack_unwinder.h"

#include <execinfo.h>
#include <ucontext.h>

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/debugging/stacktrace.h"
#include "absl/types/span.h"

namespace lossd {
namespace {

// Where a signal has interrupted its thread; 0 without one.
uintptr_t Interrupted(const void* context) {
  if (context == nullptr) return 0;
  const mcontext_t& registers = static_cast<const ucontext_t*>(context)->uc_mcontext;
#if defined(__x86_64__)
  return static_cast<uintptr_t>(registers.gregs[REG_RIP]);
#elif defined(__aarch64__)
  return static_cast<uintptr_t>(registers.pc);
#else
  return 0;
#endif
}

// As absl::SetStackUnwinder wants it.
int Unwind(void** pcs, int* sizes, int depth, int skip, const void* context, int* dropped) {
  std::array<void*, 128> all;
  const int count = backtrace(all.data(), static_cast<int>(all.size()));
  const absl::Span<void*> frames = absl::MakeSpan(all).first(std::max(count, 0));
  // Those of the handler come before what it interrupted.
  auto first = std::find_if(frames.begin(), frames.end(), [&](const void* frame) {
    return reinterpret_cast<uintptr_t>(frame) == Interrupted(context);
  });
  if (first == frames.end()) first = frames.begin() + std::min<ptrdiff_t>(skip, count);
  const auto given = static_cast<int>(std::min<ptrdiff_t>(frames.end() - first, depth));
  std::copy_n(first, given, pcs);
  if (sizes != nullptr) std::fill_n(sizes, given, 0);
  if (dropped != nullptr) *dropped = static_cast<int>(frames.end() - first) - given;
  return given;
}

}  // namespace

void UnwindByTables() {
  // The first time takes memory, which there may be none of in a fault.
  void* frame = nullptr;
  backtrace(&frame, 1);
  absl::SetStackUnwinder(Unwind);
}

}  // namespace lossd
