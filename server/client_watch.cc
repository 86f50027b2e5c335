#include "server/client_watch.h"

#include <vector>

namespace lossd {

void ClientWatch::Run(const std::stop_token& stop) {
  std::unique_lock lock(mutex_);
  const auto never = [] { return false; };
  while (!stop.stop_requested()) {
    stopping_.wait_for(lock, stop, absl::ToChronoNanoseconds(period_), never);
    const std::vector<std::weak_ptr<Watched>> all(watched_.begin(), watched_.end());
    lock.unlock();
    for (const std::weak_ptr<Watched>& one : all) {
      if (const std::shared_ptr<Watched> there = one.lock()) there->LookAfterClient();
    }
    lock.lock();
  }
}

}  // namespace lossd
