#include "lossd/plan/channel_slice.h"

#include <optional>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "lossd/plan/nearest_name.h"

namespace lossd {
namespace {

// A bound; absent when there is nothing but blanks.
absl::StatusOr<std::optional<int64_t>> ParseBound(absl::string_view text) {
  if (absl::StripAsciiWhitespace(text).empty()) return std::nullopt;
  int64_t bound = 0;
  if (!absl::SimpleAtoi(text, &bound)) return absl::InvalidArgumentError("not an integer");
  return bound;
}

}  // namespace

ChannelSlice SingleChannel(int64_t index) {
  // [-1, 0) would be empty: the last channel's stop is the end.
  if (index == -1) return {.start = index};
  return {.start = index, .stop = index + 1};
}

absl::StatusOr<ChannelSlice> ParseChannelSlice(absl::string_view text) {
  const auto error = [&] {
    return absl::InvalidArgumentError(absl::StrCat(
        "got ", Quoted(text), R"(, expected a channel index or "start:stop" without a step)"));
  };
  const size_t colon = text.find(':');
  const auto start = ParseBound(text.substr(0, colon));
  if (!start.ok()) return error();
  if (colon == absl::string_view::npos) {
    if (!start->has_value() || **start == INT64_MAX) return error();
    return SingleChannel(**start);
  }
  const auto stop = ParseBound(text.substr(colon + 1));
  if (!stop.ok()) return error();
  return ChannelSlice{.start = *start, .stop = *stop};
}

std::string FormatChannelSlice(const ChannelSlice& slice) {
  const auto text = [](const std::optional<int64_t>& bound) {
    return bound.has_value() ? absl::StrCat(*bound) : "";
  };
  return absl::StrCat(text(slice.start), ":", text(slice.stop));
}

absl::Status CheckChannelSlice(const ChannelSlice& slice) {
  // With n channels, a bound b stands for b or n + b. Bounds of the same sign keep their order; of
  // different signs, some n makes the range non-empty, but for a stop of 0, at or before every
  // start.
  const bool never =
      slice.stop == 0 || (slice.start.has_value() && slice.stop.has_value() &&
                          (*slice.start < 0) == (*slice.stop < 0) && *slice.start >= *slice.stop);
  if (!never) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("got ", FormatChannelSlice(slice),
                                                 ", which is empty, expected a channel or more"));
}

absl::StatusOr<ChannelRange> ResolveChannelSlice(const ChannelSlice& slice, int64_t channels) {
  const auto resolve = [&](int64_t bound) { return bound < 0 ? bound + channels : bound; };
  const ChannelRange range = {resolve(slice.start.value_or(0)),
                              slice.stop.has_value() ? resolve(*slice.stop) : channels};
  if (range.start < 0 || range.stop > channels || range.start >= range.stop) {
    return absl::InvalidArgumentError(absl::StrCat("got ", FormatChannelSlice(slice),
                                                   ", expected a non-empty range within ", channels,
                                                   channels == 1 ? " channel" : " channels"));
  }
  return range;
}

}  // namespace lossd
