#ifndef SERVER_OBSERVABILITY_LABELLED_H_
#define SERVER_OBSERVABILITY_LABELLED_H_

#include <prometheus/family.h>

#include <map>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/synchronization/mutex.h"

namespace lossd {

// The metrics of a family, found by the values of its labels. The family itself would want a map of
// the labels each time, which with a dozen metrics a call is much of what a tiny one takes.
// Thread-safe.
template <typename Metric, typename... Arguments>
class Labelled {
 public:
  // `arguments` are those of each new metric. `family` must outlive this.
  Labelled(prometheus::Family<Metric>& family, std::vector<std::string> labels,
           Arguments... arguments)
      : family_(family), labels_(std::move(labels)), arguments_(std::move(arguments)...) {}

  // That of these values, as many as there are labels.
  template <typename... Values>
  Metric& Of(const Values&... values) {
    const std::string key = absl::StrJoin(std::make_tuple(absl::string_view(values)...), "\n");
    const absl::MutexLock lock(&mutex_);
    const auto [found, is_new] = metrics_.try_emplace(key, nullptr);
    if (is_new) found->second = &Add({std::string(values)...});
    return *found->second;
  }

 private:
  Metric& Add(const std::vector<std::string>& values) {
    std::map<std::string, std::string> labels;
    for (size_t i = 0; i < labels_.size(); ++i) labels.emplace(labels_[i], values[i]);
    return std::apply(
        [&](const auto&... arguments) -> Metric& { return family_.Add(labels, arguments...); },
        arguments_);
  }

  prometheus::Family<Metric>& family_;
  const std::vector<std::string> labels_;
  const std::tuple<Arguments...> arguments_;
  absl::Mutex mutex_;
  absl::flat_hash_map<std::string, Metric*> metrics_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace lossd

#endif  // SERVER_OBSERVABILITY_LABELLED_H_
