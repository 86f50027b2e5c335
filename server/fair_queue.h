#ifndef SERVER_FAIR_QUEUE_H_
#define SERVER_FAIR_QUEUE_H_

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <list>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace lossd {

// What clients wait for, in the order in which it is fair to serve them: start-time fair queueing.
// Each client has a turn, a time that advances by the cost of what it is given; who has had least,
// comes first, and of one client what came first. A client that comes anew begins where the others
// are: it has no credit for the time in which it asked for nothing. So of two clients that wait all
// the time neither gets more than the other by more than the cost of one item each. What is taken
// back costs nothing. Not thread-safe.
template <typename Item>
class FairQueue {
 public:
  // Names an item; none is 0.
  using Ticket = uint64_t;

  // `cost` >= 0, in any unit that is the same for all.
  Ticket Push(const std::string& client, double cost, Item item) {
    Client& of = clients_[client];
    if (of.waiting.empty()) of.turn = std::max(of.turn, now_);
    of.waiting.push_back({.ticket = ++last_ticket_, .cost = cost, .item = std::move(item)});
    ++size_;
    return last_ticket_;
  }

  // Takes the first item, in their order, of which may(item) is true; nothing where it is of none.
  template <typename May>
  std::optional<Item> Take(May may) {
    if (size_ == 0) return std::nullopt;
    const std::vector<Client*> order = Order();
    for (Client* const client : order) {
      for (auto waiting = client->waiting.begin(); waiting != client->waiting.end(); ++waiting) {
        if (!may(std::as_const(waiting->item))) continue;
        now_ = std::max(now_, order.front()->turn);
        client->turn += waiting->cost;
        std::optional<Item> taken = std::move(waiting->item);
        client->waiting.erase(waiting);
        --size_;
        ForgetIdle();
        return taken;
      }
    }
    return std::nullopt;
  }

  // Takes an item back; nothing where it is not there.
  std::optional<Item> Remove(Ticket ticket) {
    for (auto& [name, client] : clients_) {
      for (auto waiting = client.waiting.begin(); waiting != client.waiting.end(); ++waiting) {
        if (waiting->ticket != ticket) continue;
        std::optional<Item> removed = std::move(waiting->item);
        client.waiting.erase(waiting);
        --size_;
        ForgetIdle();
        return removed;
      }
    }
    return std::nullopt;
  }

  // Forgets what clients were given: to be called when there was enough for all.
  void Settle() {
    if (size_ == 0) clients_.clear();
  }

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }

 private:
  struct Waiting {
    Ticket ticket;
    double cost;
    Item item;
  };
  struct Client {
    double turn = 0;
    std::list<Waiting> waiting;
  };

  // Those that wait, the one whose turn it is first.
  std::vector<Client*> Order() {
    std::vector<Client*> order;
    for (auto& [name, client] : clients_) {
      if (!client.waiting.empty()) order.push_back(&client);
    }
    std::sort(order.begin(), order.end(), [](const Client* a, const Client* b) {
      return std::tuple(a->turn, a->waiting.front().ticket) <
             std::tuple(b->turn, b->waiting.front().ticket);
    });
    return order;
  }

  // Of those who are where a new client begins, nothing needs to be known.
  void ForgetIdle() {
    std::erase_if(clients_, [this](const auto& entry) {
      return entry.second.waiting.empty() && entry.second.turn <= now_;
    });
  }

  std::map<std::string, Client> clients_;
  double now_ = 0;  // The turn of the client that was first when something was taken last.
  size_t size_ = 0;
  Ticket last_ticket_ = 0;
};

}  // namespace lossd

#endif  // SERVER_FAIR_QUEUE_H_
