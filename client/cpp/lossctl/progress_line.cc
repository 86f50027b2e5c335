#include "lossctl/progress_line.h"

#include "absl/strings/str_format.h"

namespace lossd {
namespace {

constexpr absl::Duration kPeriod = absl::Milliseconds(100);
constexpr char kClear[] = "\r\033[K";
constexpr double kMegabyte = 1e6;

}  // namespace

ProgressLine::~ProgressLine() {
  if (shown_) terminal_ << kClear << std::flush;
}

void ProgressLine::Show(const Progress& progress) {
  if (absl::Now() < next_) return;
  next_ = absl::Now() + kPeriod;
  shown_ = true;
  terminal_ << kClear
            << absl::StreamFormat("sent %.1f of %.1f MB",
                                  static_cast<double>(progress.sent) / kMegabyte,
                                  static_cast<double>(progress.to_send) / kMegabyte);
  if (progress.to_receive > 0) {
    terminal_ << absl::StreamFormat(", received %.1f of %.1f MB",
                                    static_cast<double>(progress.received) / kMegabyte,
                                    static_cast<double>(progress.to_receive) / kMegabyte);
  } else if (progress.sent == progress.to_send) {
    terminal_ << ", waiting for the answer";
  }
  terminal_ << std::flush;
}

}  // namespace lossd
