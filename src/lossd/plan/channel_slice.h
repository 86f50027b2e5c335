#ifndef LOSSD_PLAN_CHANNEL_SLICE_H_
#define LOSSD_PLAN_CHANNEL_SLICE_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace lossd {

// A range of channels [start, stop) by Python's rules: negative counts from the end, absent is the
// end of the range. Out of range or empty is an error.
struct ChannelSlice {
  std::optional<int64_t> start = {};
  std::optional<int64_t> stop = {};

  friend bool operator==(const ChannelSlice&, const ChannelSlice&) = default;
};

// Channels [start, stop) of a tensor.
struct ChannelRange {
  int64_t start = 0;
  int64_t stop = 0;

  int64_t size() const { return stop - start; }
  friend bool operator==(const ChannelRange&, const ChannelRange&) = default;
};

// Reads "2", "-1", ":", "0:3", "1:" or ":-1". No step. Errors are INVALID_ARGUMENT that say what
// was given and expected.
absl::StatusOr<ChannelSlice> ParseChannelSlice(absl::string_view text);

// The slice of one channel: "2" is [2, 3), "-1" the last one.
ChannelSlice SingleChannel(int64_t index);

// As it is written in a plan: "0:3", "-1:".
std::string FormatChannelSlice(const ChannelSlice& slice);

// An error when no number of channels makes the slice a non-empty range.
absl::Status CheckChannelSlice(const ChannelSlice& slice);

// The range among `channels` channels.
absl::StatusOr<ChannelRange> ResolveChannelSlice(const ChannelSlice& slice, int64_t channels);

}  // namespace lossd

#endif  // LOSSD_PLAN_CHANNEL_SLICE_H_
