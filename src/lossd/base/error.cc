#include "lossd/base/error.h"

#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"

namespace lossd {
namespace {

constexpr absl::string_view kFieldPayload = "type.lossd.dev/field";
constexpr absl::string_view kReasonPayload = "type.lossd.dev/reason";

std::optional<std::string> Payload(const absl::Status& status, absl::string_view type) {
  const auto payload = status.GetPayload(type);
  if (!payload.has_value()) return std::nullopt;
  return std::string(*payload);
}

}  // namespace

absl::Status FieldError(absl::string_view field, absl::string_view given,
                        absl::string_view expected) {
  return FieldError(field, absl::StrCat("got ", given, ", expected ", expected));
}

absl::Status FieldError(absl::string_view field, absl::string_view message) {
  absl::Status status = absl::InvalidArgumentError(absl::StrCat(field, ": ", message));
  status.SetPayload(kFieldPayload, absl::Cord(field));
  return status;
}

std::optional<std::string> ErrorField(const absl::Status& status) {
  return Payload(status, kFieldPayload);
}

absl::Status WithReason(absl::string_view reason, absl::Status status) {
  status.SetPayload(kReasonPayload, absl::Cord(reason));
  return status;
}

std::optional<std::string> ErrorReason(const absl::Status& status) {
  return Payload(status, kReasonPayload);
}

absl::Status AboutField(absl::string_view field, const absl::Status& status) {
  const auto old_field = ErrorField(status);
  if (!old_field.has_value()) return status;
  absl::Status renamed =
      FieldError(field, absl::StripPrefix(absl::StripPrefix(status.message(), *old_field), ": "));
  const auto reason = ErrorReason(status);
  return reason.has_value() ? WithReason(*reason, std::move(renamed)) : renamed;
}

absl::Status InField(absl::string_view prefix, const absl::Status& status) {
  const auto field = ErrorField(status);
  if (!field.has_value()) return status;
  const bool indexed = absl::StartsWith(*field, "[");
  return AboutField(absl::StrCat(prefix, indexed ? "" : ".", *field), status);
}

}  // namespace lossd
