#include "lossd/wire/in_ranges.h"

#include <algorithm>
#include <atomic>
#include <system_error>
#include <thread>
#include <vector>

#include "lossd/base/available_cores.h"

namespace lossd {
namespace {

// A thread takes some 30 µs to begin, in which another looks at 10⁵ elements.
constexpr int64_t kLeastOfThread = int64_t{1} << 20;
// Short enough that all are done at the same time.
constexpr int64_t kRange = int64_t{1} << 17;

int64_t ThreadsFor(int64_t count) {
  static const int cores = AvailableCores();
  return std::clamp<int64_t>(count / kLeastOfThread, 1, cores);
}

// Whether there was another thread to be had.
template <typename Work>
bool Begin(const Work& work, std::vector<std::jthread>& threads) {
  try {
    threads.emplace_back(work);
    return true;
  } catch (const std::system_error&) {
    return false;
  }
}

}  // namespace

bool InRanges(int64_t count, absl::FunctionRef<bool(int64_t begin, int64_t end)> body) {
  const int64_t threads = ThreadsFor(count);
  if (threads == 1) return count == 0 || body(0, count);
  std::atomic<int64_t> next = 0;
  std::atomic<bool> go_on = true;
  const auto work = [&] {
    while (go_on.load(std::memory_order_relaxed)) {
      const int64_t begin = next.fetch_add(kRange, std::memory_order_relaxed);
      if (begin >= count) return;
      if (!body(begin, std::min(begin + kRange, count))) go_on = false;
    }
  };
  std::vector<std::jthread> helpers;
  // Where no more are to be had, those that there are do it.
  while (static_cast<int64_t>(helpers.size()) < threads - 1 && Begin(work, helpers)) {
  }
  work();
  helpers.clear();  // Waits for them.
  return go_on;
}

}  // namespace lossd
