#ifndef LOSSD_ORCHESTRATOR_CHANNEL_SLICE_H_
#define LOSSD_ORCHESTRATOR_CHANNEL_SLICE_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "lossd/v1/plan.pb.h"

namespace lossd {

// Channels [start, stop) of a tensor.
struct ChannelRange {
  int64_t start = 0;
  int64_t stop = 0;

  int64_t size() const { return stop - start; }
  friend bool operator==(const ChannelRange&, const ChannelRange&) = default;
};

// Reads "2", "-1", ":", "0:3", "1:" or ":-1". No step. Errors are INVALID_ARGUMENT that say what
// was given and expected.
absl::StatusOr<v1::ChannelSlice> ParseChannelSlice(absl::string_view text);

// The slice of one channel: "2" is [2, 3), "-1" the last one.
v1::ChannelSlice SingleChannel(int64_t index);

// As it is written in a plan: "0:3", "-1:".
std::string FormatChannelSlice(const v1::ChannelSlice& slice);

// An error when no number of channels makes the slice a non-empty range.
absl::Status CheckChannelSlice(const v1::ChannelSlice& slice);

// The range among `channels` channels, by Python's rules for negative bounds. Unlike in Python, a
// bound out of range and an empty range are errors.
absl::StatusOr<ChannelRange> ResolveChannelSlice(const v1::ChannelSlice& slice, int64_t channels);

}  // namespace lossd

#endif  // LOSSD_ORCHESTRATOR_CHANNEL_SLICE_H_
