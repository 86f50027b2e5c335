#ifndef LOSSCTL_PROGRESS_LINE_H_
#define LOSSCTL_PROGRESS_LINE_H_

#include <ostream>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "lossd/client_options.h"

namespace lossd {

// A line on a terminal that says how far a transfer has come, written over and over again.
class ProgressLine {
 public:
  // Nothing is shown of transfers that are done after `delay`.
  explicit ProgressLine(std::ostream& terminal, absl::Duration delay = absl::Milliseconds(500))
      : terminal_(terminal), next_(absl::Now() + delay) {}

  // Clears the line.
  ~ProgressLine();

  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void Show(const Progress& progress);

 private:
  std::ostream& terminal_;
  absl::Time next_;  // Before then nobody could read it.
  bool shown_ = false;
};

}  // namespace lossd

#endif  // LOSSCTL_PROGRESS_LINE_H_
