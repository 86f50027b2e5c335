#ifndef SERVER_CLIENT_WATCH_H_
#define SERVER_CLIENT_WATCH_H_

#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <stop_token>
#include <thread>
#include <utility>

#include "absl/time/time.h"

namespace lossd {

// Looks after the clients of calls, again and again, on a thread of its own. A timer for each call
// would cost a tiny one a good part of its time. Thread-safe.
class ClientWatch {
 public:
  // Whose client is looked after.
  class Watched {
   public:
    virtual void LookAfterClient() = 0;

   protected:
    ~Watched() = default;
  };

  // Looks after each of them once in `period`.
  explicit ClientWatch(absl::Duration period)
      : period_(period), thread_([this](const std::stop_token& stop) { Run(stop); }) {}

  ClientWatch(const ClientWatch&) = delete;
  ClientWatch& operator=(const ClientWatch&) = delete;

  // As long as this lives, it is looked after; it may be gone before. Outlived by the watch.
  class Entry {
   public:
    Entry(ClientWatch& watch, std::weak_ptr<Watched> watched)
        : watch_(watch), place_(watch.Add(std::move(watched))) {}
    Entry(const Entry&) = delete;
    Entry& operator=(const Entry&) = delete;
    ~Entry() { watch_.Remove(place_); }

   private:
    ClientWatch& watch_;
    const std::list<std::weak_ptr<Watched>>::iterator place_;
  };

 private:
  std::list<std::weak_ptr<Watched>>::iterator Add(std::weak_ptr<Watched> watched) {
    const std::lock_guard lock(mutex_);
    return watched_.insert(watched_.end(), std::move(watched));
  }
  void Remove(std::list<std::weak_ptr<Watched>>::iterator place) {
    const std::lock_guard lock(mutex_);
    watched_.erase(place);
  }
  void Run(const std::stop_token& stop);

  const absl::Duration period_;
  std::mutex mutex_;
  std::condition_variable_any stopping_;
  std::list<std::weak_ptr<Watched>> watched_;  // Guarded by mutex_.
  std::jthread thread_;                        // Last: joined before the rest goes.
};

}  // namespace lossd

#endif  // SERVER_CLIENT_WATCH_H_
